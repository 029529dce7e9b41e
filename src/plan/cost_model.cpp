#include "pruntrain/plan/cost_model.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "pruntrain/parallel/gradient_reducer.hpp"

namespace pruntrain {

namespace {

/// Rounds of doubling until all ranks are reached, rounded up log2.
int rounds(index_t ranks) { return static_cast<int>(std::bit_width(static_cast<std::size_t>(ranks) - 1)); }

double transfer_s(double bytes, const Link& link) { return bytes / link.bytes_per_s; }

double layer_seconds(const LayerWork& layer, const KernelRates& rates) {
    if (layer.flops == 0) return 0;
    const double dense = layer.flops / rates.dense;
    if (layer.kept_flops == layer.flops || rates.sparse == 0) return dense;
    return std::min(dense, layer.kept_flops / rates.sparse);  // the program chooses the faster one
}

/// The link as seen by one of several ranks that send concurrently.
Link shared_by(const Link& link, index_t senders) {
    return {link.latency_s, link.bytes_per_s / static_cast<double>(senders)};
}

void add_computation(const StepWork& work, const Rates& rates, const Placement& placement, Prediction& prediction) {
    for (const LayerWork& layer : work.layers) {
        const double product_s = layer_seconds(layer, layer.images ? rates.images : rates.vectors);
        const double moving_s = layer.moved_bytes / rates.activation_bytes_per_s;
        prediction.forward_s += product_s + moving_s;
        prediction.backward_s += layer.backward_products * product_s + moving_s;
    }
    const double updated = work.values / static_cast<double>(work.shared_slots ? placement.replicas() : 1);
    prediction.update_s = work.input_bytes / rates.activation_bytes_per_s +
                          work.update_arrays * updated * sizeof(real) / rates.value_bytes_per_s;
}

/// Bytes of the partial sums of a share before they are added over the nodes.
double terms_bytes(const StepWork& work, double bytes) {
    if (work.tree_terms > 0) return static_cast<double>(work.tree_terms) * bytes;
    return work.message == SharedSum::Message::bf16 ? bytes / 2 : bytes;
}

/// Seconds to sum this rank's share of one bucket between nodes.
double crossing_seconds(const StepWork& work, double bytes, const Link& link, Algorithm algorithm, index_t nodes) {
    const bool rounded = work.message == SharedSum::Message::bf16;
    if (work.tree_terms == 0 && !rounded && !work.sums_to_owners) return sum_seconds(nodes, bytes, link, algorithm);
    const double back_s = work.sums_to_owners ? 0 : exchange_seconds(nodes, rounded ? bytes / 2 : bytes, link);
    return exchange_seconds(nodes, terms_bytes(work, bytes), link) + back_s;
}

double crossing_sent_bytes(const StepWork& work, double bytes, index_t nodes) {
    const double back = work.sums_to_owners ? 0 : work.message == SharedSum::Message::bf16 ? bytes / 2 : bytes;
    return gather_sent_bytes(nodes, terms_bytes(work, bytes) + back);
}

void add_gradient_sums(const StepWork& work, const Cluster& cluster, const Placement& placement,
                       Prediction& prediction) {
    if (placement.replicas() == 1 || work.values == 0) return;
    prediction.summed_bytes = work.values * sizeof(real);
    constexpr auto bucket = static_cast<double>(GradientReducer::bucket_values);
    const double buckets = std::ceil(work.values / bucket);
    if (placement.on_node > 1) {
        // A rank reads the terms of all ranks in its share and writes the sum to all, or to one.
        const double written = work.sums_to_owners ? 1 / static_cast<double>(placement.on_node) : 1;
        prediction.shared_bytes = (1 + written) * prediction.summed_bytes;
        prediction.node_sum_s =
            2 * buckets * cluster.node.latency_s + transfer_s(prediction.shared_bytes, cluster.node);
    }
    if (placement.nodes == 1) return;
    const Link link = shared_by(cluster.network, placement.senders);
    const auto seconds = [&](double values) {
        const double bytes = values * sizeof(real) / static_cast<double>(placement.on_node);
        return crossing_seconds(work, bytes, link, cluster.algorithm, placement.nodes);
    };
    const double last_s = seconds(work.values - (buckets - 1) * bucket);
    const double others_s = (buckets - 1) * seconds(bucket);
    prediction.sent_bytes =
        crossing_sent_bytes(work, prediction.summed_bytes / static_cast<double>(placement.on_node), placement.nodes);
    prediction.network_sum_s = others_s + last_s;
    prediction.unhidden_sum_s = std::max(0.0, others_s - prediction.backward_s) + last_s;
}

void add_exchanges(const StepWork& work, const Cluster& cluster, const Placement& placement, Prediction& prediction) {
    const Link link = placement.replica_on_node ? cluster.node : shared_by(cluster.network, placement.senders);
    for (const LayerWork& layer : work.layers) {
        for (const double bytes : {layer.forward_exchanged_bytes, layer.backward_exchanged_bytes}) {
            if (bytes == 0) continue;
            prediction.exchanged_bytes += gather_sent_bytes(placement.shards, bytes);
            prediction.exchange_s += gather_seconds(placement.shards, bytes, link, cluster.algorithm);
        }
        if (layer.batch_sum_bytes == 0 || placement.replicas() == 1) continue;
        const double one_way_s =
            sum_seconds(placement.on_node, layer.batch_sum_bytes, cluster.node, cluster.algorithm) +
            sum_seconds(placement.nodes, layer.batch_sum_bytes, shared_by(cluster.network, placement.senders),
                        cluster.algorithm);
        prediction.batch_sum_s += 2 * one_way_s;
    }
}

void add_gather_of_values(const StepWork& work, const Cluster& cluster, const Placement& placement,
                          Prediction& prediction) {
    if (!work.shared_slots || placement.replicas() == 1) return;
    const double bytes = work.values * sizeof(real);
    prediction.gathered_bytes = gather_sent_bytes(placement.replicas(), bytes);
    // Neighbors send to neighbors: of the replicas of a shard on a node, one sends to another node at a time.
    Link link = cluster.node;
    if (placement.nodes > 1) {
        link = shared_by(cluster.network, std::max<index_t>(1, placement.senders / placement.on_node));
        if (placement.on_node > 1) link.bytes_per_s = std::min(link.bytes_per_s, cluster.node.bytes_per_s);
    }
    prediction.gather_s = gather_seconds(placement.replicas(), bytes, link, cluster.algorithm);
}

}  // namespace

double sum_seconds(index_t ranks, double bytes, const Link& link, Algorithm algorithm) {
    if (ranks == 1) return 0;
    switch (algorithm) {
        case Algorithm::binomial:
            return 2 * rounds(ranks) * (link.latency_s + transfer_s(bytes, link));
        case Algorithm::doubling:
            return rounds(ranks) * (link.latency_s + transfer_s(bytes, link));
        case Algorithm::halving:
        case Algorithm::ring:
            break;
    }
    return 2 * gather_seconds(ranks, bytes, link, algorithm);
}

double gather_seconds(index_t ranks, double bytes, const Link& link, Algorithm algorithm) {
    if (ranks == 1) return 0;
    const double messages = algorithm == Algorithm::ring ? static_cast<double>(ranks - 1) : rounds(ranks);
    return messages * link.latency_s + transfer_s(gather_sent_bytes(ranks, bytes), link);
}

double exchange_seconds(index_t ranks, double bytes, const Link& link) {
    return static_cast<double>(ranks - 1) * link.latency_s + transfer_s(gather_sent_bytes(ranks, bytes), link);
}

double gather_sent_bytes(index_t ranks, double bytes) {
    return bytes * static_cast<double>(ranks - 1) / static_cast<double>(ranks);
}

Placement placed(index_t ranks, index_t shards, index_t ranks_per_node) {
    if (ranks <= ranks_per_node) return {.ranks = ranks, .shards = shards, .on_node = ranks / shards, .senders = ranks};
    Placement placement{.ranks = ranks,
                        .shards = shards,
                        .nodes = ranks / shards,
                        .senders = ranks_per_node,
                        .replica_on_node = ranks_per_node % shards == 0};
    if (ranks % ranks_per_node == 0 && placement.replica_on_node) {
        placement.on_node = ranks_per_node / shards;
        placement.nodes = ranks / ranks_per_node;
    }
    return placement;
}

Prediction predict(const StepWork& work, const Rates& rates, const Cluster& cluster, const Placement& placement) {
    Prediction prediction;
    add_computation(work, rates, placement, prediction);
    add_gradient_sums(work, cluster, placement, prediction);
    add_exchanges(work, cluster, placement, prediction);
    add_gather_of_values(work, cluster, placement, prediction);
    return prediction;
}

}  // namespace pruntrain
