// The cost model against numbers computed by hand, and what must hold for any numbers.
#include <doctest/doctest.h>

#include "../support/layer_bench.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/parallel/gradient_reducer.hpp"
#include "pruntrain/plan/scaling.hpp"

using namespace pruntrain;

namespace {

const Link one_us_one_gb_s{1e-6, 1e9};

/// A dense layer behind another: 1e9 operations a product, all weights kept; `values` gradients.
StepWork dense_step(double values) {
    StepWork work;
    work.layers = {{.flops = 1e9, .kept_flops = 1e9, .backward_products = 2}};
    work.values = values;
    work.update_arrays = 7;
    return work;
}

const Rates slow{.vectors = {.dense = 1e9}, .images = {}, .activation_bytes_per_s = 1e9, .value_bytes_per_s = 1e9};

Cluster cluster_of(index_t ranks_per_node) {
    Cluster cluster;
    cluster.ranks_per_node = ranks_per_node;
    cluster.node = {1e-6, 1e10};
    cluster.network = {2e-6, 1e10};
    return cluster;
}

}  // namespace

TEST_CASE("cost model: latency and bandwidth of collectives, by hand") {
    // 1000 bytes take 1 us on the way, a message 1 us more.
    const double bytes = 1000;
    CHECK(sum_seconds(8, bytes, one_us_one_gb_s, Algorithm::binomial) == doctest::Approx(12e-6));
    CHECK(sum_seconds(8, bytes, one_us_one_gb_s, Algorithm::doubling) == doctest::Approx(6e-6));
    CHECK(sum_seconds(8, bytes, one_us_one_gb_s, Algorithm::halving) == doctest::Approx(6e-6 + 1.75e-6));
    CHECK(sum_seconds(8, bytes, one_us_one_gb_s, Algorithm::ring) == doctest::Approx(14e-6 + 1.75e-6));
    CHECK(gather_seconds(8, bytes, one_us_one_gb_s, Algorithm::ring) == doctest::Approx(7e-6 + 0.875e-6));
    CHECK(gather_seconds(8, bytes, one_us_one_gb_s, Algorithm::halving) == doctest::Approx(3e-6 + 0.875e-6));
    CHECK(exchange_seconds(8, bytes, one_us_one_gb_s) == doctest::Approx(7e-6 + 0.875e-6));
    CHECK(sum_seconds(5, bytes, one_us_one_gb_s, Algorithm::doubling) == doctest::Approx(6e-6));  // as for 8
    CHECK(gather_sent_bytes(4, bytes) == 750);
}

TEST_CASE("cost model: one rank sends nothing and waits for nobody") {
    for (const auto algorithm : {Algorithm::binomial, Algorithm::doubling, Algorithm::halving, Algorithm::ring})
        CHECK(sum_seconds(1, 1e6, one_us_one_gb_s, algorithm) == 0);
    CHECK(gather_seconds(1, 1e6, one_us_one_gb_s, Algorithm::ring) == 0);
    CHECK(exchange_seconds(1, 1e6, one_us_one_gb_s) == 0);
    StepWork work = dense_step(1e6);
    work.shared_slots = true;
    work.layers.push_back({.batch_sum_bytes = 100});
    const Prediction alone = predict(work, slow, cluster_of(4), placed(1, 1, 4));
    CHECK(alone.summed_bytes + alone.shared_bytes + alone.sent_bytes + alone.exchanged_bytes + alone.gathered_bytes ==
          0);
    CHECK(alone.exposed_s() == 0);
    CHECK(alone.forward_s == doctest::Approx(1));
    CHECK(alone.backward_s == doctest::Approx(2));
    CHECK(alone.update_s == doctest::Approx(7 * 1e6 * sizeof(real) / 1e9));
    CHECK(alone.step_s() == alone.compute_s());
}

TEST_CASE("cost model: how ranks lie on nodes") {
    const auto is = [](const Placement& placement, index_t on_node, index_t nodes, index_t senders, bool together) {
        return placement.on_node == on_node && placement.nodes == nodes && placement.senders == senders &&
               placement.replica_on_node == together;
    };
    CHECK(is(placed(2, 1, 32), 2, 1, 2, true));
    CHECK(is(placed(4096, 1, 32), 32, 128, 32, true));
    CHECK(is(placed(4096, 4, 32), 8, 128, 32, true));
    CHECK(is(placed(4096, 64, 32), 1, 64, 32, false));  // a replica has two nodes
    CHECK(is(placed(48, 1, 32), 1, 48, 32, true));      // nodes of 32 and 16: no sums in shared memory
    CHECK(is(placed(96, 3, 32), 1, 32, 32, false));     // some replicas lie on two nodes
}

TEST_CASE("cost model: sums in shared memory and between nodes, by hand") {
    constexpr auto bucket = static_cast<double>(GradientReducer::bucket_values);
    StepWork work = dense_step(2.5 * bucket);
    const double bytes = work.values * sizeof(real), share = bucket * sizeof(real) / 4;
    const Prediction node = predict(work, slow, cluster_of(4), placed(4, 1, 4));
    CHECK(node.summed_bytes == bytes);
    CHECK(node.shared_bytes == 2 * bytes);
    CHECK(node.sent_bytes == 0);
    CHECK(node.node_sum_s == doctest::Approx(3 * 2e-6 + 2 * bytes / 1e10));
    CHECK(node.unhidden_sum_s == 0);

    Cluster cluster = cluster_of(4);
    cluster.algorithm = Algorithm::halving;
    const Prediction nodes = predict(work, slow, cluster, placed(8, 1, 4));  // two nodes, four shares
    CHECK(nodes.sent_bytes == doctest::Approx(bytes / 4));
    const double full_s = 4e-6 + share * 4 / 1e10, half_s = 4e-6 + share / 2 * 4 / 1e10;  // four ranks share the link
    CHECK(nodes.network_sum_s == doctest::Approx(2 * full_s + half_s));
    CHECK(nodes.unhidden_sum_s == doctest::Approx(half_s));  // backward takes two seconds

    work.layers.front().backward_products = 0;
    CHECK(predict(work, slow, cluster, placed(8, 1, 4)).unhidden_sum_s == doctest::Approx(2 * full_s + half_s));

    work.message = SharedSum::Message::bf16;
    CHECK(predict(work, slow, cluster, placed(8, 1, 4)).sent_bytes == doctest::Approx(bytes / 4 / 2));
    work.message = SharedSum::Message::exact;
    work.tree_terms = 1;
    CHECK(predict(work, slow, cluster, placed(8, 1, 4)).sent_bytes == doctest::Approx(bytes / 4));
    work.tree_terms = 3;
    CHECK(predict(work, slow, cluster, placed(8, 1, 4)).sent_bytes == doctest::Approx(2 * bytes / 4));
}

TEST_CASE("cost model: shards, batch-norm and shared slots, by hand") {
    StepWork work = dense_step(1000);
    work.layers = {{.forward_exchanged_bytes = 4000, .backward_exchanged_bytes = 4000},
                   {.batch_sum_bytes = 1000},
                   {.forward_exchanged_bytes = 400}};
    work.shared_slots = true;
    Cluster cluster = cluster_of(8);
    cluster.algorithm = Algorithm::ring;
    const Prediction two_by_four = predict(work, slow, cluster, placed(8, 4, 8));
    CHECK(two_by_four.exchanged_bytes == doctest::Approx(0.75 * 8400));
    CHECK(two_by_four.exchange_s == doctest::Approx(3 * 3e-6 + 0.75 * 8400 / 1e10));
    CHECK(two_by_four.batch_sum_s == doctest::Approx(2 * (2e-6 + 1000 / 1e10)));
    CHECK(two_by_four.gathered_bytes == doctest::Approx(1000 * sizeof(real) / 2));
    CHECK(two_by_four.gather_s == doctest::Approx(1e-6 + two_by_four.gathered_bytes / 1e10));
    CHECK(two_by_four.update_s == doctest::Approx(7 * 500 * sizeof(real) / 1e9));
}

TEST_CASE("cost model: the faster execution is taken") {
    StepWork work = dense_step(0);
    work.layers.front().kept_flops = 1e8;
    Rates rates = slow;
    CHECK(predict(work, rates, {}, {}).forward_s == doctest::Approx(1));  // no sparse rate: dense
    rates.vectors.sparse = 5e8;
    CHECK(predict(work, rates, {}, {}).forward_s == doctest::Approx(0.2));
    rates.vectors.sparse = 5e7;
    CHECK(predict(work, rates, {}, {}).forward_s == doctest::Approx(1));
    work.layers.front().images = true;
    rates.images = {.dense = 2e9};
    CHECK(predict(work, rates, {}, {}).forward_s == doctest::Approx(0.5));
}

TEST_CASE("cost model: more to send never takes less time, a better network never more") {
    for (const auto algorithm : {Algorithm::binomial, Algorithm::doubling, Algorithm::halving, Algorithm::ring}) {
        Cluster cluster = cluster_of(4);
        cluster.algorithm = algorithm;
        double last_s = 0;
        for (const double values : {0.0, 1e3, 2e5, 3e5, 1e6, 1e7}) {
            const double step_s = predict(dense_step(values), slow, cluster, placed(64, 1, 4)).step_s();
            CHECK(step_s >= last_s);
            last_s = step_s;
        }
        double fewer_s = 0;
        for (const index_t ranks : {4, 8, 16, 64, 1024}) {
            const double exposed_s = predict(dense_step(1e6), slow, cluster, placed(ranks, 1, 4)).exposed_s();
            CHECK(exposed_s >= fewer_s);
            fewer_s = exposed_s;
        }
        Cluster better = cluster;
        better.network = {1e-6, 2e10};
        CHECK(predict(dense_step(1e6), slow, better, placed(64, 1, 4)).step_s() < last_s);
        CHECK(predict(dense_step(1e6), slow, better, placed(64, 1, 4)).exposed_s() <
              predict(dense_step(1e6), slow, cluster, placed(64, 1, 4)).exposed_s());
    }
}

TEST_CASE("cost model: a cluster file") {
    const Cluster cluster = read_cluster(config_of(
        "{name: small, ranks_per_node: 4, node: {latency_us: 1, bandwidth_gb_s: 5}, network: {latency_us: 3, "
        "bandwidth_gb_s: 25, algorithm: ring}, rank: {dense_gflops: 50, sparse_gflops: 20, memory_gb_s: 4}}"));
    CHECK(cluster.name == "small");
    CHECK(cluster.ranks_per_node == 4);
    CHECK(cluster.node.latency_s == doctest::Approx(1e-6));
    CHECK(cluster.node.bytes_per_s == doctest::Approx(5e9));
    CHECK(cluster.network.latency_s == doctest::Approx(3e-6));
    CHECK(cluster.network.bytes_per_s == doctest::Approx(25e9));
    CHECK(cluster.algorithm == Algorithm::ring);
    CHECK(cluster.dense_flops_per_s == doctest::Approx(50e9));
    CHECK(cluster.sparse_flops_per_s == doctest::Approx(20e9));
    CHECK(cluster.memory_bytes_per_s == doctest::Approx(4e9));
    CHECK(read_cluster(config_of("{}")).ranks_per_node == Cluster{}.ranks_per_node);
    CHECK_THROWS_AS(read_cluster(config_of("{network: {latency: 3}}")), InputError);
    CHECK_THROWS_AS(read_cluster(config_of("{network: {bandwidth_gb_s: 0}}")), InputError);
    CHECK_THROWS_AS(read_cluster(config_of("{ranks_per_node: 0}")), InputError);
}
