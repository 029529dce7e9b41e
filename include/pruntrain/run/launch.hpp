// How the process was started: a mistake of the launcher that MPI cannot report.
#pragma once

#include <functional>
#include <string>

namespace pruntrain {

/// Value of an environment variable; "" if it is not set.
using Environment = std::function<std::string(const std::string& name)>;
std::string environment_of_process(const std::string& name);

/// srun has started several tasks, but MPI was not connected with them: each one is a world of one rank, and all of
/// them would train the same run. Not so where mpirun has started this process, also with -n 1 in a job of several
/// tasks: then mpirun's variables give the size.
/// @return the number of tasks; 0 if all is well
int tasks_without_mpi(int world_size, const Environment& environment);

}  // namespace pruntrain
