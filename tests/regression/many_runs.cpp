// Trains many runs in one MPI job, each as the program does, because starting a job takes longer than a short run.
//
//     mpirun -n 3 many_runs FILE     FILE: one run a line, the arguments of the program, separated by tabs
//
// The exit status is 0 if all runs have ended with 0; the first other run aborts the job.
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "pruntrain/app/cli.hpp"
#include "pruntrain/app/commands.hpp"
#include "pruntrain/math/blas.hpp"

using namespace pruntrain;

namespace {

std::vector<std::string> words_of(const std::string& line) {
    std::vector<std::string> words{"pruntrain", ""};
    for (const char letter : line) {
        if (letter == '\t') words.emplace_back();
        else words.back() += letter;
    }
    return words;
}

ExitStatus run_once(const std::vector<std::string>& words, const Communicator& world) {
    std::vector<const char*> arguments;
    for (const auto& word : words) arguments.push_back(word.c_str());
    const auto command = parse_command_line(static_cast<int>(arguments.size()), arguments.data(), world);
    if (!command) return exit_wrong_input;
    return std::visit([&](const auto& options) { return run_command(options, {world, Timer()}); }, *command);
}

}  // namespace

int main(int argc, char** argv) {
    set_up_blas(argv);
    const MpiSession session(argc, argv);
    const Communicator world = Communicator::world();
    std::ifstream file(argc == 2 ? argv[1] : "");
    std::string line;
    int runs = 0;
    for (; std::getline(file, line); ++runs) {
        std::string failed;
        try {
            const ExitStatus status = run_once(words_of(line), world);
            if (status != exit_done) failed = "exit status " + std::to_string(status);
        } catch (const std::exception& error) {
            failed = error.what();
        }
        if (failed.empty()) continue;
        std::cerr << "many_runs: rank " + std::to_string(world.rank()) + ", '" + line + "': " + failed + "\n";
        MpiSession::abort(exit_fault);
    }
    return runs > 0 ? exit_done : exit_wrong_input;
}
