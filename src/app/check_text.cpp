#include "pruntrain/app/check_text.hpp"

#include <sstream>

#include "pruntrain/base/table.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/plan/rank_memory.hpp"

namespace pruntrain {

std::string check_text(Experiment& experiment) {
    Network& network = experiment.model.network();
    const index_t replicas = experiment.grid.replica_count();
    const index_t shards = experiment.grid.model_shards(), ranks = replicas * shards;
    Rows rows{{"layer", "what", "output", "parameters"}};
    for (std::size_t i = 0; i < network.layer_count(); ++i) {
        Layer& layer = network.layer(i);
        index_t parameters = 0;
        for (const auto* parameter : layer.parameters()) parameters += parameter->tensor_size();
        rows.push_back({layer.name(), layer.describe(), layer.output_shape().describe(), grouped(parameters)});
    }

    const index_t slots = network.arena().slot_names().size();
    const PrunableCount prunable = count_prunable(network, tensor_sizes(network));
    const bool prunes = experiment.pruner && experiment.pruner->final_sparsity() > 0;
    const index_t removed = prunes ? removed_count(experiment.pruner->final_sparsity(), prunable.size) : 0;
    const PackedSizes all = packed_model(network);
    const RankMemory first = memory_of_rank(experiment, 0), last = memory_of_rank(experiment, removed);
    const auto file_arrays = static_cast<double>(1 + slots);
    const index_t samples = experiment.slice_samples(replicas);
    const bool ordered = experiment.settings.slices > 0;
    const index_t slices = experiment.slices_of_rank();
    const index_t image_width = network.input_tiling(samples).width, flat_width = network.output_tiling(samples).width;

    std::ostringstream out;
    out << "network\n"
        << table(rows) << "  input " << network.input_shape().describe() << ", " << grouped(all.size) << " parameters, "
        << grouped(prunable.size) << " of them prunable\n\n"
        << "data\n  " << grouped(experiment.dataset.samples(Split::train)) << " training, "
        << grouped(experiment.dataset.samples(Split::validation)) << " validation, "
        << grouped(experiment.dataset.samples(Split::test)) << " test samples, "
        << bytes_text(static_cast<double>(experiment.dataset.bytes_per_node()))
        << " a node (residency: " << experiment.dataset.residency() << ")\n";
    for (const std::string& note : experiment.dataset.notes(experiment.classes())) out << "  " << note << "\n";
    out << "\ntraining\n  " << grouped(experiment.length.steps) << " steps, "
        << grouped(experiment.length.steps_per_epoch) << " an epoch; a global batch of "
        << experiment.settings.global_batch << " samples on " << ranks << (ranks == 1 ? " rank" : " ranks")
        << (shards == 1 ? ""
                        : text(", ", replicas, replicas == 1 ? " replica" : " replicas", " of ", shards, " shards"))
        << ": " << (ordered ? text(slices, slices == 1 ? " slice" : " slices", " of ") : "") << samples
        << " a rank at most, in tiles of " << (image_width == flat_width ? "" : text(image_width, " for images and "))
        << flat_width << "\n\n"
        << "pruning\n  " << (experiment.pruner ? experiment.pruner->describe() : "none");
    if (prunes)
        out << "\n  keeps " << (experiment.pruner->has_threshold() ? "at least " : "")
            << grouped(prunable.size - removed) << " of " << grouped(prunable.size) << " prunable weights in the end";
    out << "\n\nmemory of a rank\n  " << bytes_text(first.packed) << " for values, gradients, " << slots
        << " optimizer slots"
        << (experiment.settings.shard_optimizer && replicas > 1 ? text(" shared by ", replicas, " replicas") : "")
        << (prunes ? text("; ", bytes_text(last.packed), " in the end with indices") : "") << "\n  "
        << bytes_text(first.activations) << " for activations and scratch"
        << (prunes ? text("\n  ", bytes_text(last.unpacked),
                          " for weights that are unpacked while layers execute dense\n  ", bytes_text(last.plans),
                          " for plans when all execute sparse in the end\n  ", bytes_text(last.event),
                          " more at most while an event removes weights")
                   : "")
        << "\n  "
        << (experiment.settings.saves_beside ? bytes_text(all.bytes(0, file_arrays)) +
                                                   " more at most on rank 0, a copy, while a checkpoint is written"
                                             : bytes_text(static_cast<double>(all.largest) * sizeof(real)) +
                                                   " more on rank 0 while it writes a checkpoint, a tensor at a time")
        << "\n\ncheckpoint, before compression\n  " << bytes_text(all.bytes(0, file_arrays))
        << (prunes ? text("; ", bytes_text(all.bytes(removed, file_arrays)), " in the end") : "") << "\n";
    return out.str();
}

}  // namespace pruntrain
