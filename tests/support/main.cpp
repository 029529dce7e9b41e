// The main of every test program: MPI around doctest. Rank 0 prints its report, another rank only if a test failed on
// it; the worst status wins.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <iostream>
#include <sstream>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/math/blas.hpp"

int main(int argc, char** argv) {
    pruntrain::set_up_blas(argv);
    const pruntrain::MpiSession session(argc, argv);
    const auto world = pruntrain::Communicator::world();
    std::ostringstream report;
    doctest::Context context(argc, argv);
    context.setOption("no-colors", true);  // mpirun gives every rank a terminal of its own
    context.setCout(&report);
    const int status = context.run();
    for (int rank = 0; rank < world.size(); ++rank) {
        if (rank == world.rank() && (rank == 0 || status != 0)) {
            if (world.size() > 1) std::cout << "[rank " << rank << " of " << world.size() << "]\n";
            std::cout << report.str() << std::flush;
        }
        world.barrier();
    }
    return static_cast<int>(world.all_reduce_max(static_cast<pruntrain::index_t>(status)));
}
