#include "pruntrain/plan/scaling.hpp"

#include <algorithm>
#include <limits>

#include "pruntrain/base/sum_tree.hpp"
#include "pruntrain/model/weight_matrix.hpp"
#include "pruntrain/plan/microbenchmark.hpp"

namespace pruntrain {

namespace {

constexpr double giga = 1e9, micro = 1e-6;
constexpr index_t reference_width = 64;  ///< tile width to which the rates of a cluster file refer

/// Density of the prunable weights, and each rank's part of a batch.
struct Share {
    double kept = 1;
    index_t samples = 0;  ///< per slice
    index_t slices = 1;
};

LayerWork work_of_layer(Network& network, std::size_t number, const Share& share) {
    Layer& layer = network.layer(number);
    const Tiling slice = network.tiling(number, share.samples);
    const Tiling tiling{share.slices * slice.tiles() * slice.width, slice.width};  // padding is computed too
    const bool gradient = network.needs_input_gradient(number);
    LayerWork work;
    if (network.is_fused(number)) return work;
    if (WeightMatrix* const weight = layer.weight_matrix()) {
        const Parameter& parameter = weight->parameter();
        work.images = parameter.tensor_shape.size() > 2;
        work.flops = 2 * layer.multiply_adds(tiling.samples);
        work.kept_flops = work.flops * (parameter.prunable ? share.kept : 1);
        work.backward_products = gradient ? 2 : 1;
    } else if (const auto [forward, backward] = layer.exchanged(tiling); forward > 0) {
        work.forward_exchanged_bytes = static_cast<double>(forward) * sizeof(real);
        work.backward_exchanged_bytes = static_cast<double>(backward) * sizeof(real);
    } else if (layer.in_place() == InPlace::never ||
               layer.input_shape() == layer.output_shape()) {  // otherwise no data moves: flatten
        work.moved_bytes =
            static_cast<double>(tiling.size(layer.input_shape().size() + layer.output_shape().size())) * sizeof(real);
    }
    work.batch_sum_bytes = static_cast<double>(layer.batch_sums()) * sizeof(double);
    return work;
}

/// Maximum terms that a node contributes for the slices of its replicas.
index_t terms_of_a_node(index_t slices, const Placement& placement) {
    std::size_t most = 1;
    for (index_t node = 0; node < placement.nodes; ++node) {
        const index_t replica = node * placement.on_node;
        const index_t first = even_block(slices, replica, placement.replicas()).first;
        const Block end = even_block(slices, replica + placement.on_node - 1, placement.replicas());
        most = std::max(most, nodes_of(first, end.first + end.size - first, slices).size());
    }
    return static_cast<index_t>(most);
}

/// @param removed  weights removed from the whole model
StepWork work_of_step(Experiment& experiment, Network& network, const Share& share, index_t removed,
                      const Placement& placement) {
    StepWork work;
    for (std::size_t i = 0; i < network.layer_count(); ++i) work.layers.push_back(work_of_layer(network, i, share));
    const Tiling input = network.input_tiling(share.samples);
    work.input_bytes = 2 * static_cast<double>(share.slices * input.size(network.input_shape().size())) * sizeof(real);
    work.values = static_cast<double>(packed_shard(network).size - removed_of_shard(network, removed));
    work.update_arrays = static_cast<double>(arrays_moved(experiment.optimizer->slot_names().size()));
    work.shared_slots = experiment.settings.shard_optimizer;
    work.sums_to_owners = work.shared_slots && experiment.settings.clip_norm == 0;
    work.message = experiment.settings.message;
    if (experiment.settings.slices > 0) work.tree_terms = terms_of_a_node(experiment.settings.slices, placement);
    return work;
}

bool has_images(const StepWork& work) {
    return std::ranges::any_of(work.layers, [](const LayerWork& layer) { return layer.images; });
}

/// The rates of a rank. Rates of the cluster file apply to reference sizes and are scaled to other tiles and arrays by
/// the ratios measured here.
class RankRates {
   public:
    explicit RankRates(const Cluster& cluster) : cluster_(cluster) {}

    Rates of(const StepWork& work, const TileWidths& widths, double density, bool sparse) {
        Rates rates;
        rates.vectors = kernels(false, widths.flat, density, sparse);
        if (has_images(work)) rates.images = kernels(true, widths.image, density, sparse);
        double activation_bytes = 0;
        for (const LayerWork& layer : work.layers) activation_bytes = std::max(activation_bytes, layer.moved_bytes / 2);
        rates.activation_bytes_per_s = moving(activation_bytes);
        // An update has values, gradients and optimizer state in the caches at once, a measurement two arrays.
        rates.value_bytes_per_s = moving(work.values * sizeof(real) * (1 + work.update_arrays) / 4);
        return rates;
    }

   private:
    KernelRates kernels(bool images, index_t width, double density, bool sparse) {
        KernelRates rates{.dense = dense_scale() * probe_.flops_per_s(images, width, 1)};
        if (sparse && density < 1) rates.sparse = sparse_scale(density) * probe_.flops_per_s(images, width, density);
        return rates;
    }
    double moving(double array_bytes) {
        const double here = probe_.moved_per_s(array_bytes);
        if (cluster_.memory_bytes_per_s == 0) return here;
        return here * cluster_.memory_bytes_per_s / probe_.moved_per_s(std::numeric_limits<double>::infinity());
    }
    double dense_scale() {
        if (cluster_.dense_flops_per_s == 0) return 1;
        return cluster_.dense_flops_per_s / probe_.flops_per_s(false, reference_width, 1);
    }
    double sparse_scale(double density) {
        if (cluster_.sparse_flops_per_s == 0) return dense_scale();
        return cluster_.sparse_flops_per_s / probe_.flops_per_s(false, reference_width, density);
    }

    Cluster cluster_;
    Microbenchmark probe_;
};

}  // namespace

Cluster read_cluster(const Config& config) {
    Cluster cluster;
    cluster.name = config.word("name", cluster.name, "name of the cluster, for the heading");
    cluster.ranks_per_node = config.integer("ranks_per_node", cluster.ranks_per_node, at_least(1), "ranks per node");
    const auto link = [](const Config& section, const Link& fallback, const Range& range,
                         const std::string& rate) -> Link {
        const double latency_us =
            section.number("latency_us", fallback.latency_s / micro, at_least(0), "latency in microseconds");
        return {latency_us * micro, giga * section.number("bandwidth_gb_s", fallback.bytes_per_s / giga, range, rate)};
    };
    cluster.node = link(config.section("node"), cluster.node, at_least(0),
                        "bandwidth of a rank in shared memory, GB/s, while all ranks of the node use it; 0: measured");
    const Config network = config.section("network");
    cluster.network = link(network, cluster.network, above(0), "network bandwidth of a node, GB/s");
    const std::string algorithm = network.choice("algorithm", algorithm_names.front(), algorithm_names,
                                                 "all-reduce algorithm of the MPI library between nodes");
    cluster.algorithm = static_cast<Algorithm>(std::ranges::find(algorithm_names, algorithm) - algorithm_names.begin());
    const Config rank = config.section("rank");
    cluster.dense_flops_per_s = giga * rank.number("dense_gflops", 0.0, at_least(0),
                                                   "GF/s of a rank in the training step of a dense layer; 0: measured");
    cluster.sparse_flops_per_s =
        giga * rank.number("sparse_gflops", 0.0, at_least(0),
                           "GF/s of a rank for a sparse layer, counting non-zeros only; 0: measured");
    cluster.memory_bytes_per_s =
        giga * rank.number("memory_gb_s", 0.0, at_least(0),
                           "memory bandwidth of a rank, GB/s, while all ranks of the node use it; 0: measured");
    config.finish();
    return cluster;
}

std::string describe_cluster() {
    const Config config = Config::describing().member("--cluster FILE");
    read_cluster(config);
    return config.describe();
}

ScalingPlan plan_scaling(Experiment& experiment, const Cluster& cluster, std::optional<double> density) {
    Network& network = experiment.model.network();
    const Settings& settings = experiment.settings;
    const index_t shards = experiment.grid.model_shards(), replicas = experiment.grid.replica_count();
    Network whole(experiment.model.layers(), experiment.dataset.shape(), {}, {}, false);
    const index_t whole_slices = std::max<index_t>(1, settings.slices);
    const TileWidths widths = tile_widths(experiment.slice_samples(replicas));
    const TileWidths whole_widths = tile_widths(experiment.slice_samples(1));
    whole.set_tile_widths(whole_widths);

    ScalingPlan plan;
    plan.cluster = cluster;
    plan.placement = placed(replicas * shards, shards, cluster.ranks_per_node);
    plan.widths = widths;
    plan.global_batch = settings.global_batch;
    plan.rank_samples =
        std::min(settings.global_batch, experiment.slice_samples(replicas) * experiment.slices_of_rank());
    plan.training_samples = experiment.dataset.samples(Split::train);

    const index_t prunable = packed_model(network).prunable;
    const double pruned_to = experiment.pruner ? experiment.pruner->final_sparsity() : 0;
    const double sparsity = density ? 1 - *density : pruned_to;
    std::vector<index_t> removals{0};
    if (removed_count(sparsity, prunable) > 0) removals.push_back(removed_count(sparsity, prunable));
    const bool sparse = settings.execution != ExecutionChoice::dense;
    RankRates rates(cluster);
    for (const index_t removed : removals) {
        PlannedDensity at;
        at.density = 1 - static_cast<double>(removed) / static_cast<double>(std::max<index_t>(1, prunable));
        at.memory = memory_of_rank(experiment, removed);
        const StepWork work = work_of_step(
            experiment, network, {at.density, experiment.slice_samples(replicas), experiment.slices_of_rank()}, removed,
            plan.placement);
        at.rates = rates.of(work, widths, at.density, sparse);
        Cluster measured = cluster;
        if (measured.node.bytes_per_s == 0) measured.node.bytes_per_s = at.rates.value_bytes_per_s;
        at.step = predict(work, at.rates, measured, plan.placement);
        const StepWork one =
            work_of_step(experiment, whole, {at.density, experiment.slice_samples(1), whole_slices}, removed, {});
        at.one_rank_step_s = predict(one, rates.of(one, whole_widths, at.density, sparse), measured, {}).step_s();
        plan.densities.push_back(at);
    }
    return plan;
}

}  // namespace pruntrain
