// Which checkpoints there are, and when, on one rank.
#include <doctest/doctest.h>

#include <filesystem>

#include "../support/checkpointed_run.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/parallel/census.hpp"

using namespace pruntrain;
using namespace pruntrain::test;
namespace fs = std::filesystem;

namespace {

struct Run : CheckpointedRun {
    using CheckpointedRun::CheckpointedRun;

    /// Of all checkpoints, newest first.
    std::vector<index_t> steps() const {
        std::vector<index_t> found;
        for (const auto& path : list_checkpoints(run_folder.checkpoints()))
            found.push_back(inspect_checkpoint(path).state.step);
        return found;
    }
    std::string weights_hash() {
        return hex(consistent_model_hash(training.network(), 0, training.experiment.grid).weights);
    }
};

using Steps = std::vector<index_t>;

/// The call ends with a fault that names the file.
template <class Call>
void check_fault(const fs::path& file, Call call) {
    const std::string message = fault_of(call);
    CHECK(message.find(file.string()) != std::string::npos);
}

}  // namespace

TEST_CASE("checkpointer: a checkpoint is whole on return, and there is one of each step") {
    Run run;
    CHECK(run.checkpointer.newest_step() == 0);
    CHECK(run.save(3));
    CHECK(run.checkpointer.newest_step() == 3);
    CHECK(run.checkpointer.path_of(3) == run.file(3).string());
    const CheckpointSummary summary = inspect_checkpoint(run.file(3));
    CHECK(summary.state.weights_hash == run.weights_hash());
    CHECK(summary.state.pattern_hash ==
          hex(consistent_model_hash(run.training.network(), 0, run.training.experiment.grid).pattern));
    CHECK(summary.state.execution == run.training.experiment.model.execution().describe());
    CHECK(summary.config == run.training.experiment.resolved);

    fs::remove(run.file(3));
    CHECK_FALSE(run.save(3));  // nothing is written again
    CHECK_FALSE(run.save(3, true));
    CHECK(run.steps().empty());
    CHECK(run.save(4));
    CHECK(run.steps() == Steps{4});
}

TEST_CASE("checkpointer: after going back, the steps after that one are saved again") {
    Run run;
    run.save(2);
    run.save(5);
    run.checkpointer.resumed_at(2);
    CHECK(run.checkpointer.newest_step() == 2);
    CHECK_FALSE(run.save(2));
    CHECK(run.save(5));
    CHECK(run.checkpointer.newest_step() == 5);
}

TEST_CASE("checkpointer: concurrently, the file has the weights of its step, though training continues") {
    Run run({"checkpoint.asynchronous=true"});
    const std::string hash = run.weights_hash();
    CHECK(run.save(3));
    CHECK(run.checkpointer.newest_step() == 3);
    std::ranges::fill(run.training.arena().values(), real{5});
    CHECK_FALSE(run.save(3));  // it is under way
    run.checkpointer.finish_writing();
    CHECK(run.steps() == Steps{3});
    CHECK(inspect_checkpoint(run.file(3)).state.weights_hash == hash);
    CHECK_FALSE(run.save(3));
    run.checkpointer.finish_writing();  // again: nothing to wait for
    CHECK(run.checkpointer.newest_step() == 3);
}

TEST_CASE("checkpointer: a needed one is there on return, and so is the one under way") {
    Run run({"checkpoint.asynchronous=true"});
    CHECK(run.save(3));
    SUBCASE("of the same step") {
        CHECK_FALSE(run.save(3, true));
        CHECK(run.steps() == Steps{3});
    }
    SUBCASE("of a later one") {
        CHECK(run.save(4, true));
        CHECK(run.steps() == Steps{4, 3});
    }
    SUBCASE("under way after one under way") {
        CHECK(run.save(4));
        CHECK(fs::exists(run.file(3)));
        run.checkpointer.finish_writing();
        CHECK(run.steps() == Steps{4, 3});
    }
}

TEST_CASE("checkpointer: the newest stay, and the best one") {
    for (const std::string asynchronous : {"false", "true"}) {
        CAPTURE(asynchronous);
        Run run({"checkpoint.keep=2", "checkpoint.asynchronous=" + asynchronous});
        run.save(1);
        run.save(2, false, 2);
        for (index_t step = 3; step <= 5; ++step) run.save(step, false, 2);
        run.checkpointer.finish_writing();
        CHECK(run.steps() == Steps{5, 4, 2});
        run.save(6, false, 6);
        run.checkpointer.finish_writing();
        CHECK(run.steps() == Steps{6, 5});
    }
}

TEST_CASE("checkpointer: an older one stays until the new one is whole") {
    Run run({"checkpoint.keep=1", "checkpoint.on_failure=continue"});
    run.save(1);
    fs::create_directories(run.file(2));  // a folder of that name: the file cannot take its place
    CHECK_FALSE(run.save(2));
    CHECK(fs::exists(run.file(1)));
    fs::remove(run.file(2));
    CHECK(run.save(2));
    CHECK(run.steps() == Steps{2});
}

TEST_CASE("checkpointer: what cannot be written ends the run, unless it may do without") {
    Run run({"checkpoint.on_failure=stop"});
    fs::remove_all(run.run_folder.checkpoints());
    check_fault(run.file(3), [&] { run.save(3); });
    check_fault(run.file(3), [&] { run.save(3, true); });
}

TEST_CASE("checkpointer: with continue a failure is a warning, except of a needed one, and the next one is written") {
    for (const std::string asynchronous : {"false", "true"}) {
        CAPTURE(asynchronous);
        Run run({"checkpoint.on_failure=continue", "checkpoint.asynchronous=" + asynchronous});
        fs::remove_all(run.run_folder.checkpoints());
        CHECK(run.save(3) == (asynchronous == "true"));  // then the failure is not known yet
        run.checkpointer.finish_writing();
        const std::string warning = run.printed.take();
        CHECK(warning.starts_with("warning: "));
        CHECK(warning.find(run.file(3).string()) != std::string::npos);
        CHECK(run.checkpointer.newest_step() == 0);
        check_fault(run.file(3), [&] { run.save(3, true); });
        fs::create_directories(run.run_folder.checkpoints());
        CHECK(run.save(3, true));
        CHECK(run.steps() == Steps{3});
        CHECK(run.printed.take().empty());
    }
}

TEST_CASE("checkpointer: a failure of one under way is found by the next one, and by the end of writing") {
    for (const bool next : {false, true}) {
        CAPTURE(next);
        Run run({"checkpoint.asynchronous=true"});
        fs::remove_all(run.run_folder.checkpoints());
        CHECK(run.save(3));
        check_fault(run.file(3), [&] { next ? void(run.save(4)) : run.checkpointer.finish_writing(); });
        CHECK(run.checkpointer.newest_step() == 0);
    }
}

TEST_CASE("checkpointer: the last look before a file gets its name may refuse it") {
    Run run;
    const fs::path path = run.file(1);
    const auto refuse = [&] {
        CHECK(fs::exists(path.string() + ".tmp"));
        fault("not any more");
    };
    Network& network = run.training.network();
    const Grid& grid = run.training.experiment.grid;
    CHECK(write_checkpoint(path, network, {}, {}, "", {}, grid, refuse).failure.ends_with("not any more"));
    CHECK(write_checkpoint_later(path, network, {}, {}, "", {}, grid, refuse).get().failure.ends_with("not any more"));
    CHECK(fs::is_empty(path.parent_path()));
}
