// Prints a scaling plan as text and as JSON.
#include <functional>
#include <nlohmann/json.hpp>

#include "pruntrain/base/table.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/plan/scaling.hpp"

namespace pruntrain {

namespace {

std::string milliseconds(double seconds) { return fixed(1e3 * seconds, 3); }
std::string rate(double per_s) { return fixed(per_s / 1e9, 1); }

std::string counted(index_t count, const char* thing) {
    return text(grouped(count), " ", thing, count == 1 ? "" : "s");
}

}  // namespace

std::string scaling_text(const ScalingPlan& plan) {
    const Placement& placement = plan.placement;
    std::vector<std::vector<std::string>> rows{{"per rank and step"}};
    for (const PlannedDensity& at : plan.densities) rows.front().push_back(text("density ", fixed(at.density, 4)));
    const auto row = [&](const std::string& name, const std::function<std::string(const PlannedDensity&)>& cell) {
        rows.push_back({name});
        for (const PlannedDensity& at : plan.densities) rows.back().push_back(cell(at));
    };
    using At = const PlannedDensity&;
    row("memory", [](At at) { return bytes_text(at.memory.total()); });
    row("gradients summed", [](At at) { return bytes_text(at.step.summed_bytes); });
    row("- moved in shared memory", [](At at) { return bytes_text(at.step.shared_bytes); });
    row("- sent to other nodes", [](At at) { return bytes_text(at.step.sent_bytes); });
    row("sent between shards", [](At at) { return bytes_text(at.step.exchanged_bytes); });
    row("updated values sent", [](At at) { return bytes_text(at.step.gathered_bytes); });
    row("forward, ms", [](At at) { return milliseconds(at.step.forward_s); });
    row("backward, ms", [](At at) { return milliseconds(at.step.backward_s); });
    row("batch and update, ms", [](At at) { return milliseconds(at.step.update_s); });
    row("sums on the node, ms", [](At at) { return milliseconds(at.step.node_sum_s); });
    row("sums between nodes, ms", [](At at) { return milliseconds(at.step.network_sum_s); });
    row("- not hidden by backward, ms", [](At at) { return milliseconds(at.step.unhidden_sum_s); });
    row("between shards, ms", [](At at) { return milliseconds(at.step.exchange_s); });
    row("batch-norm sums, ms", [](At at) { return milliseconds(at.step.batch_sum_s); });
    row("gather of values, ms", [](At at) { return milliseconds(at.step.gather_s); });
    row("computation, ms", [](At at) { return milliseconds(at.step.compute_s()); });
    row("communication, exposed, ms", [](At at) { return milliseconds(at.step.exposed_s()); });
    row("step, ms", [](At at) { return milliseconds(at.step.step_s()); });
    row("samples/s", [&](At at) { return grouped(static_cast<index_t>(plan.samples_per_s(at.step.step_s()))); });
    row("samples/s of one rank",
        [&](At at) { return grouped(static_cast<index_t>(plan.samples_per_s(at.one_rank_step_s))); });
    row("speed-up over one rank", [](At at) { return fixed(at.speedup(), 2); });
    row("efficiency", [&](At at) { return fixed(plan.efficiency(at), 4); });

    const index_t nodes = (placement.ranks + plan.cluster.ranks_per_node - 1) / plan.cluster.ranks_per_node;
    std::string rates;
    for (const PlannedDensity& at : plan.densities) {
        const bool sparse = at.rates.vectors.sparse > 0;
        rates += text("  density ", fixed(at.density, 4), ": dense layers ", rate(at.rates.vectors.dense), " GF/s",
                      sparse ? text(", sparse ", rate(at.rates.vectors.sparse)) : "");
        if (at.rates.images.dense > 1)
            rates += text("; convolutions ", rate(at.rates.images.dense), " GF/s",
                          sparse ? text(", sparse ", rate(at.rates.images.sparse)) : "");
        rates += text("; ", rate(at.rates.activation_bytes_per_s), " GB/s in activations, ",
                      rate(at.rates.value_bytes_per_s), " GB/s in weights\n");
    }
    return text(
        "plan for ", counted(placement.ranks, "rank"), " on ", counted(nodes, "node"), " of cluster ",
        plan.cluster.name, ": a prediction, not a measurement\n  ", counted(placement.replicas(), "replica"), " of ",
        counted(placement.shards, "shard"), "; a global batch of ", grouped(plan.global_batch), ", ",
        counted(plan.rank_samples, "sample"), " per rank at most, in tiles of ", plan.widths.flat, "\n  ",
        placement.nodes == 1
            ? "sums in shared memory"
            : text("sums of ", counted(placement.on_node, "replica"), " in shared memory, then over ",
                   grouped(placement.nodes), placement.on_node == 1 ? " replicas, by MPI alone: " : " nodes: ",
                   algorithm_names[static_cast<std::size_t>(plan.cluster.algorithm)]),
        "\n\n", table(rows), "\nrates of a rank, measured on this machine if not in the cluster file\n", rates,
        "\nSums between nodes overlap with backward, except the last bucket; nothing else overlaps. Not included:\n"
        "imbalance of shards and patterns, input from disk, evaluation, pruning and checkpoints, system noise,\n"
        "network congestion. docs/scaling.md has the formulas and how to measure the values of a cluster file.\n");
}

std::string scaling_json(const ScalingPlan& plan) {
    nlohmann::ordered_json json;
    json["cluster"] = plan.cluster.name;
    json["ranks"] = plan.placement.ranks;
    json["replicas"] = plan.placement.replicas();
    json["shards"] = plan.placement.shards;
    json["global_batch"] = plan.global_batch;
    json["rank_samples"] = plan.rank_samples;
    json["training_samples"] = plan.training_samples;
    for (const PlannedDensity& at : plan.densities)
        json["densities"].push_back({{"density", at.density},
                                     {"memory_bytes", at.memory.total()},
                                     {"summed_bytes", at.step.summed_bytes},
                                     {"shared_bytes", at.step.shared_bytes},
                                     {"sent_bytes", at.step.sent_bytes},
                                     {"exchanged_bytes", at.step.exchanged_bytes},
                                     {"gathered_bytes", at.step.gathered_bytes},
                                     {"compute_s", at.step.compute_s()},
                                     {"exposed_s", at.step.exposed_s()},
                                     {"step_s", at.step.step_s()},
                                     {"samples_per_s", plan.samples_per_s(at.step.step_s())},
                                     {"one_rank_samples_per_s", plan.samples_per_s(at.one_rank_step_s)},
                                     {"speedup", at.speedup()},
                                     {"efficiency", plan.efficiency(at)}});
    return json.dump(2) + "\n";
}

}  // namespace pruntrain
