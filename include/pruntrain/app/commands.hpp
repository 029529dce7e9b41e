// The commands of the program: the options of each, as the command line gives them, and a function that runs it.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pruntrain/base/timer.hpp"
#include "pruntrain/comm/communicator.hpp"

namespace pruntrain {

/// Batch scripts depend on these values.
enum ExitStatus : int {
    exit_done = 0,         ///< the results are on disk
    exit_fault = 1,        ///< a fault of the program or the machine
    exit_wrong_input = 2,  ///< the user's input is wrong
    exit_preempted = 75,   ///< stopped and saved: --resume continues (EX_TEMPFAIL of sysexits.h)
};

/// What every command gets.
struct Session {
    const Communicator& world;
    Timer since_start;  ///< of the program: run.time_limit counts from there
};

struct TrainOptions {
    std::string config;                  ///< path of the configuration
    std::vector<std::string> overrides;  ///< key.path=value
    bool resume = false;
    bool overwrite = false;
    bool unlock = false;  ///< remove a lock whose process is not known to live
    bool profile = false;
    bool independent = false;  ///< each task of srun is a run of its own
    index_t preempt_step = 0;  ///< step after which a preemption is simulated; 0: none
};

struct CheckOptions {
    std::string config;
    std::vector<std::string> overrides;
    index_t ranks = 0;              ///< to predict for; 0: no prediction
    std::string cluster;            ///< path of the machine's description; empty: a default machine
    std::optional<double> density;  ///< of the prunable weights; nothing: the density at the end of the run
    bool json = false;
};

struct DescribeOptions {};

struct InspectOptions {
    std::string checkpoint;
};

struct EvaluateOptions {
    std::string checkpoint;
    std::vector<std::string> overrides;
    std::string split = "test";
    std::string outputs;      ///< .npy file for the network's outputs; empty: none
    bool metrics = false;     ///< print precision, recall and F1, or R2
    std::string confusion;    ///< .csv file for the confusion matrix; empty: none
    bool no_targets = false;  ///< the test files have no targets, or they are not read
    bool independent = false;
};

struct SensitivityOptions {
    std::string checkpoint;
    std::vector<std::string> overrides;
    std::string split = "validation";
    std::vector<double> sparsities{0.5, 0.7, 0.8, 0.9, 0.95, 0.99};
    double drop = 1;         ///< points of accuracy that a layer of the allocation may cost
    std::string table;       ///< .csv file; empty: none
    std::string allocation;  ///< .yaml file; empty: none
    bool independent = false;
};

struct MonitorOptions {
    std::string run;  ///< folder of the run
    bool once = false;
    bool called_watch = false;  ///< the old name of the command
};

using Command = std::variant<TrainOptions, CheckOptions, DescribeOptions, InspectOptions, EvaluateOptions,
                             SensitivityOptions, MonitorOptions>;

// All are collective. They throw InputError for wrong input, and any other exception for a fault.
ExitStatus run_command(const TrainOptions& options, const Session& session);
ExitStatus run_command(const CheckOptions& options, const Session& session);
ExitStatus run_command(const DescribeOptions& options, const Session& session);
ExitStatus run_command(const InspectOptions& options, const Session& session);
ExitStatus run_command(const EvaluateOptions& options, const Session& session);
ExitStatus run_command(const SensitivityOptions& options, const Session& session);
ExitStatus run_command(const MonitorOptions& options, const Session& session);

}  // namespace pruntrain
