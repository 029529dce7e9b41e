// What a step costs on many ranks, from numbers alone: pure functions that measure nothing and know no MPI.
// docs/scaling.md has the formulas, their sources, and what they leave out.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/base/types.hpp"
#include "pruntrain/comm/shared_sum.hpp"

namespace pruntrain {

/// A way for messages: one of n bytes takes latency_s + n / bytes_per_s (Hockney 1994).
struct Link {
    double latency_s = 0;
    double bytes_per_s = 1;
};

/// How a sum goes over p ranks (Thakur, Rabenseifner & Gropp 2005). With a = latency, b = seconds a byte, n bytes:
enum class Algorithm {
    binomial,  ///< to one rank and back by trees: 2 log2(p) (a + n b)
    doubling,  ///< pairs exchange all: log2(p) (a + n b)
    halving,   ///< pairs exchange halves of halves, and back: 2 log2(p) a + 2 (p-1)/p n b
    ring,      ///< pieces go round, twice: 2 (p-1) a + 2 (p-1)/p n b
};
/// Their names, in this order.
inline const std::vector<std::string> algorithm_names{"binomial", "doubling", "halving", "ring"};

/// Every rank gets the sum of all ranks' `bytes`.
double sum_seconds(index_t ranks, double bytes, const Link& link, Algorithm algorithm);
/// Every rank gets its piece of the sum of all ranks' `bytes`, or, the same way back, all get the pieces of all.
double gather_seconds(index_t ranks, double bytes, const Link& link, Algorithm algorithm);
/// Every rank sends every other a piece of its `bytes`, one after the other.
double exchange_seconds(index_t ranks, double bytes, const Link& link);
/// What a rank sends in a gather or an exchange of `bytes`; in a sum twice as much (with doubling more).
double gather_sent_bytes(index_t ranks, double bytes);

/// The machine that is planned for. A rate of 0 is measured here.
struct Cluster {
    std::string name = "default";
    index_t ranks_per_node = 32;
    Link node{0.5e-6, 0};        ///< between ranks of a node; the rate is that of one rank when all are at it
    Link network{2e-6, 12.5e9};  ///< between nodes; the rate is that of a node, which its ranks share
    Algorithm algorithm = Algorithm::binomial;
    double dense_flops_per_s = 0;   ///< of a rank in the training step of a dense layer
    double sparse_flops_per_s = 0;  ///< counting kept weights only
    double memory_bytes_per_s = 0;
};

/// How the replicas of one shard of the model lie on the nodes.
struct Placement {
    index_t ranks = 1;
    index_t shards = 1;
    index_t on_node = 1;          ///< replicas that sum in the memory they share
    index_t nodes = 1;            ///< between which sums go in messages
    index_t senders = 1;          ///< ranks that share a node's link to the others
    bool replica_on_node = true;  ///< the shards of a replica are on one node

    index_t replicas() const { return ranks / shards; }
};
/// Ranks fill the nodes in their order. Nodes with different numbers of replicas do not sum in shared memory.
Placement placed(index_t ranks, index_t shards, index_t ranks_per_node);

/// Operations a second of matrix products.
struct KernelRates {
    double dense = 1;
    double sparse = 0;  ///< of the kept weights; 0: everything executes dense
};

/// Of one rank.
struct Rates {
    KernelRates vectors, images;        ///< of dense layers and of convolutions
    double activation_bytes_per_s = 1;  ///< moved in arrays as large as an activation
    double value_bytes_per_s = 1;       ///< and in arrays as large as all weights
};

/// A layer's work on one rank in one step.
struct LayerWork {
    bool images = false;
    double flops = 0;                     ///< of one matrix product with all weights; 0: its work is no product
    double kept_flops = 0;                ///< with the kept ones
    int backward_products = 0;            ///< 2; 1 where no layer before is trained
    double moved_bytes = 0;               ///< read and written in one direction, where the work is no product
    double forward_exchanged_bytes = 0;   ///< of all shards
    double backward_exchanged_bytes = 0;  ///< summed over all shards
    double batch_sum_bytes = 0;           ///< in one direction, summed over the replicas before the layer goes on
};

struct StepWork {
    std::vector<LayerWork> layers;
    double input_bytes = 0;       ///< moved to assemble the batch
    double values = 0;            ///< weights of this rank's shard that are kept: gradients to be summed
    double update_arrays = 0;     ///< that the optimizer reads or writes
    bool shared_slots = false;    ///< each replica updates its part of the values, then all gather them
    bool sums_to_owners = false;  ///< and it gets the sums of the gradients of this part only
    SharedSum::Message message = SharedSum::Message::exact;
    index_t tree_terms = 0;  ///< sums in the order of a tree: pieces that a node contributes; 0: in any order
};

struct Prediction {
    // Bytes of a rank in a step.
    double summed_bytes = 0;     ///< its gradients that are summed over the replicas; 0 on one replica
    double shared_bytes = 0;     ///< of that, read and written in memory that a node shares
    double sent_bytes = 0;       ///< of that, sent to other nodes
    double exchanged_bytes = 0;  ///< sent to other shards: activations and their gradients
    double gathered_bytes = 0;   ///< sent to other replicas: updated values
    // Seconds of a step.
    double forward_s = 0, backward_s = 0;
    double update_s = 0;        ///< with the assembly of the batch
    double node_sum_s = 0;      ///< gradients in shared memory: work of the ranks, hidden by nothing
    double network_sum_s = 0;   ///< gradients between nodes, while backward runs
    double unhidden_sum_s = 0;  ///< of that, what backward does not hide
    double exchange_s = 0, batch_sum_s = 0, gather_s = 0;

    double compute_s() const { return forward_s + backward_s + update_s; }
    double exposed_s() const { return node_sum_s + unhidden_sum_s + exchange_s + batch_sum_s + gather_s; }
    double step_s() const { return compute_s() + exposed_s(); }
};

/// What a step costs. Gradients are summed in buckets while backward runs: of those between nodes the last bucket
/// starts when backward has ended, of the others shows what takes longer than backward.
Prediction predict(const StepWork& work, const Rates& rates, const Cluster& cluster, const Placement& placement);

}  // namespace pruntrain
