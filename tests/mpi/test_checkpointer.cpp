// Checkpoints of several ranks: the root writes, and all ranks agree on what became of the file.
#include <doctest/doctest.h>

#include <filesystem>

#include "../support/checkpointed_run.hpp"
#include "pruntrain/parallel/census.hpp"
#include "pruntrain/parallel/partition.hpp"
#include "pruntrain/run/restore.hpp"

using namespace pruntrain;
using namespace pruntrain::test;
namespace fs = std::filesystem;

namespace {

struct Run : CheckpointedRun {
    using CheckpointedRun::CheckpointedRun;

    /// What the root does to the folder, before any rank goes on.
    template <class Work>
    void on_root(Work work) {
        world.barrier();
        if (world.is_root()) work(run_folder.checkpoints());
        world.barrier();
    }
    /// The call ends with a fault on every rank.
    template <class Call>
    void check_fault(Call call) {
        CHECK(fault_of(call).find("step_") != std::string::npos);
    }
};

void remove_folder(const fs::path& checkpoints) { fs::remove_all(checkpoints); }

}  // namespace

TEST_CASE("checkpointer: a failure that only the root sees is tolerated by all ranks, or by none") {
    for (const bool asynchronous : {false, true}) {
        CAPTURE(asynchronous);
        Run run({"checkpoint.on_failure=continue", text("checkpoint.asynchronous=", asynchronous ? "true" : "false")});
        run.on_root(remove_folder);
        CHECK(run.save(3) == asynchronous);  // then the failure is not known yet
        run.checkpointer.finish_writing();
        CHECK(run.checkpointer.newest_step() == 0);
        CHECK_FALSE(run.checkpointer.is_saved(3));
        CHECK(run.printed.take().starts_with("warning: ") == run.world.is_root());
        run.check_fault([&] { run.save(3, true); });
        run.on_root([](const fs::path& checkpoints) { fs::create_directories(checkpoints); });
        CHECK(run.save(3));
        run.checkpointer.finish_writing();
        CHECK(run.checkpointer.is_saved(3));
        CHECK(list_checkpoints(run.run_folder.checkpoints()).size() == 1);
    }
}

TEST_CASE("checkpointer: a failure that ends the run ends it on all ranks") {
    for (const bool asynchronous : {false, true}) {
        CAPTURE(asynchronous);
        Run run({"checkpoint.on_failure=stop", text("checkpoint.asynchronous=", asynchronous ? "true" : "false")});
        run.on_root(remove_folder);
        run.check_fault([&] {
            run.save(3);
            run.checkpointer.finish_writing();
        });
        CHECK(run.checkpointer.newest_step() == 0);
    }
}

TEST_CASE("checkpointer: the file has the partition and the hashes of the model, and can be restored") {
    const auto shards = static_cast<index_t>(std::min(Communicator::world().size(), 3));
    if (Communicator::world().size() % shards != 0) return;
    for (const bool asynchronous : {false, true}) {
        CAPTURE(asynchronous);
        const std::vector<std::string> overrides{text("parallel.model_shards=", shards),
                                                 text("checkpoint.asynchronous=", asynchronous ? "true" : "false")};
        Run run(overrides);
        Model& model = run.training.experiment.model;
        remove_weights(run.training.arena(), 1, 6);
        Partition partition{{"dense1", {}}, {"dense2", {}}};
        for (auto& [layer, offsets] : partition) {
            for (index_t shard = 0; shard < shards; ++shard) offsets.push_back(shard);
            offsets.push_back(layer == "dense1" ? 7 : 3);
        }
        model.repartition(partition, Model::Weights::move);
        const ModelHash hash = consistent_model_hash(run.training.network(), 0, model.grid());
        const std::vector<real> weights =
            by_number(run.training.arena(), run.training.arena().values(), model.grid().shards());
        CHECK(run.save(3));
        std::ranges::fill(run.training.arena().values(), real{5});
        run.checkpointer.finish_writing();
        run.world.barrier();
        const RunState written = inspect_checkpoint(run.checkpointer.path_of(3)).state;
        CHECK(written.partition == partition_text(partition));
        CHECK(written.pattern_hash == hex(hash.pattern));
        CHECK(written.weights_hash == hex(hash.weights));

        Training resumed(overrides);
        restore({run.checkpointer.path_of(3), written.partition, written.pattern_hash, written.weights_hash},
                resumed.experiment.model, Restore::run, run.world);
        CHECK(resumed.experiment.model.partition() == partition);
        CHECK(by_number(resumed.arena(), resumed.arena().values(), resumed.experiment.grid.shards()) == weights);
    }
}
