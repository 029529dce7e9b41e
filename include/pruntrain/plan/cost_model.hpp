// Cost model of a step on many ranks: pure functions of their parameters, without measurements or MPI. docs/scaling.md
// has the formulas, their sources, and what they omit.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/shared_sum.hpp"

namespace pruntrain {

/// A communication link: a message of n bytes takes latency_s + n / bytes_per_s (Hockney 1994).
struct Link {
    double latency_s = 0;
    double bytes_per_s = 1;
};

/// All-reduce algorithms on p ranks (Thakur, Rabenseifner & Gropp 2005). With a = latency, b = seconds per byte, n
/// bytes:
enum class Algorithm {
    binomial,  ///< reduce to one rank and broadcast by trees: 2 log2(p) (a + n b)
    doubling,  ///< recursive doubling: log2(p) (a + n b)
    halving,   ///< recursive halving and doubling: 2 log2(p) a + 2 (p-1)/p n b
    ring,      ///< ring reduce-scatter and all-gather: 2 (p-1) a + 2 (p-1)/p n b
};
/// Their names, in this order.
inline const std::vector<std::string> algorithm_names{"binomial", "doubling", "halving", "ring"};

/// All-reduce: every rank gets the sum of all ranks' `bytes`.
double sum_seconds(index_t ranks, double bytes, const Link& link, Algorithm algorithm);
/// Reduce-scatter, where every rank gets its piece of the sum of all ranks' `bytes`, or the reverse, all-gather.
double gather_seconds(index_t ranks, double bytes, const Link& link, Algorithm algorithm);
/// All-to-all: every rank sends a piece of its `bytes` to every other rank, one after the other.
double exchange_seconds(index_t ranks, double bytes, const Link& link);
/// Bytes sent by a rank in an all-gather or all-to-all of `bytes`; twice as much in an all-reduce (more with doubling).
double gather_sent_bytes(index_t ranks, double bytes);

/// The planned machine. A rate of 0 is measured on this machine.
struct Cluster {
    std::string name = "default";
    index_t ranks_per_node = 32;
    Link node{0.5e-6, 0};        ///< between ranks of a node; the rate of one rank while all ranks transfer
    Link network{2e-6, 12.5e9};  ///< between nodes; the rate of a node, shared by its ranks
    Algorithm algorithm = Algorithm::binomial;
    double dense_flops_per_s = 0;   ///< of a rank in the training step of a dense layer
    double sparse_flops_per_s = 0;  ///< the same, counting non-zeros only
    double memory_bytes_per_s = 0;
};

/// How the replicas of one model shard are placed on the nodes.
struct Placement {
    index_t ranks = 1;
    index_t shards = 1;
    index_t on_node = 1;          ///< replicas that sum in shared memory
    index_t nodes = 1;            ///< nodes that sum by messages
    index_t senders = 1;          ///< ranks that share a node's network link
    bool replica_on_node = true;  ///< true if the shards of a replica are on one node

    index_t replicas() const { return ranks / shards; }
};
/// Ranks fill the nodes in rank order. Nodes with unequal replica counts do not sum in shared memory.
Placement placed(index_t ranks, index_t shards, index_t ranks_per_node);

/// Floating-point operations per second of matrix products.
struct KernelRates {
    double dense = 1;
    double sparse = 0;  ///< counting non-zeros; 0: everything executes dense
};

/// Rates of one rank.
struct Rates {
    KernelRates vectors, images;        ///< of dense layers and of convolutions
    double activation_bytes_per_s = 1;  ///< in arrays as large as an activation
    double value_bytes_per_s = 1;       ///< in arrays as large as all weights
};

/// A layer's work on one rank in one step.
struct LayerWork {
    bool images = false;
    double flops = 0;                    ///< of one matrix product with all weights; 0: the layer has no matrix product
    double kept_flops = 0;               ///< with the non-zeros
    int backward_products = 0;           ///< 2; 1 if no layer before it is trained
    double moved_bytes = 0;              ///< read and written per direction, for layers without a matrix product
    double forward_exchanged_bytes = 0;  ///< of all shards
    double backward_exchanged_bytes = 0;  ///< summed over all shards
    double batch_sum_bytes = 0;           ///< per direction, summed over the replicas before the layer continues
};

struct StepWork {
    std::vector<LayerWork> layers;
    double input_bytes = 0;       ///< moved to assemble the batch
    double values = 0;            ///< non-zeros of this rank's shard: gradients to be summed
    double update_arrays = 0;     ///< arrays that the optimizer reads or writes
    bool shared_slots = false;    ///< ZeRO-1: each replica updates its part of the values, then an all-gather follows
    bool sums_to_owners = false;  ///< and it receives the gradient sums of this part only
    SharedSum::Message message = SharedSum::Message::exact;
    index_t tree_terms = 0;  ///< sums in tree order: pieces per node; 0: in any order
};

struct Prediction {
    // Bytes per rank and step.
    double summed_bytes = 0;     ///< gradients summed over the replicas; 0 with one replica
    double shared_bytes = 0;     ///< of these, read and written in a node's shared memory
    double sent_bytes = 0;       ///< of these, sent to other nodes
    double exchanged_bytes = 0;  ///< sent to other shards: activations and their gradients
    double gathered_bytes = 0;   ///< sent to other replicas: updated values
    // Seconds per step.
    double forward_s = 0, backward_s = 0;
    double update_s = 0;        ///< including the assembly of the batch
    double node_sum_s = 0;      ///< gradients in shared memory: work of the ranks, not overlapped
    double network_sum_s = 0;   ///< gradients between nodes, overlapped with backward
    double unhidden_sum_s = 0;  ///< of these, not hidden by backward
    double exchange_s = 0, batch_sum_s = 0, gather_s = 0;

    double compute_s() const { return forward_s + backward_s + update_s; }
    double exposed_s() const { return node_sum_s + unhidden_sum_s + exchange_s + batch_sum_s + gather_s; }
    double step_s() const { return compute_s() + exposed_s(); }
};

/// Predicts the cost of a step. Gradients are summed in buckets during backward. Between nodes, the sum of the last
/// bucket starts when backward has ended; the other sums are exposed as far as they take longer than backward.
Prediction predict(const StepWork& work, const Rates& rates, const Cluster& cluster, const Placement& placement);

}  // namespace pruntrain
