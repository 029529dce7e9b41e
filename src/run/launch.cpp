#include "pruntrain/run/launch.hpp"

#include <cstdlib>

namespace pruntrain {

std::string environment_of_process(const std::string& name) {
    const char* const value = std::getenv(name.c_str());
    return value == nullptr ? "" : value;
}

int tasks_without_mpi(int world_size, const Environment& environment) {
    if (world_size > 1) return 0;
    // Of the step, not of the job: a batch script and an interactive shell have SLURM_NTASKS and SLURM_PROCID too.
    const int tasks = std::atoi(environment("SLURM_STEP_NUM_TASKS").c_str());
    if (tasks <= 1 || environment("SLURM_PROCID").empty()) return 0;
    // Open MPI's mpirun; hydra of MPICH and Intel MPI. Their remote daemons are tasks of a step themselves.
    for (const char* const size : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
        if (environment(size) == "1") return 0;
    return tasks;
}

}  // namespace pruntrain
