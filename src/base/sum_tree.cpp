#include "pruntrain/base/sum_tree.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

namespace pruntrain {

namespace {

index_t left_size(index_t size) { return static_cast<index_t>(std::bit_ceil(static_cast<std::size_t>(size)) / 2); }

/// True if the nodes are the children of one node. A left child has a power of two of slices, and begins at a multiple
/// of twice that number. The right child has the same number of slices, or all remaining ones.
bool siblings(const TreeNode& left, const TreeNode& right, index_t slices) {
    return left.first + left.size == right.first && std::has_single_bit(static_cast<std::size_t>(left.size)) &&
           left.first % (2 * left.size) == 0 && right.size == std::min(left.size, slices - right.first);
}

}  // namespace

TreeNode TreeNode::left() const { return {first, left_size(size)}; }
TreeNode TreeNode::right() const { return {first + left_size(size), size - left_size(size)}; }

Reduction reduce_terms(std::span<const TreeNode> terms, index_t slices) {
    std::vector<std::size_t> order(terms.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t term) { return terms[term].first; });
    Reduction reduction;
    auto& [additions, left, nodes] = reduction;
    for (const std::size_t term : order) {
        left.push_back(term);
        nodes.push_back(terms[term]);
        while (nodes.size() > 1 && siblings(nodes[nodes.size() - 2], nodes.back(), slices)) {
            additions.push_back({left[left.size() - 2], left.back()});
            nodes[nodes.size() - 2].size += nodes.back().size;
            nodes.pop_back();
            left.pop_back();
        }
    }
    return reduction;
}

std::vector<TreeNode> nodes_of(index_t first, index_t size, index_t slices) {
    std::vector<TreeNode> single;
    for (index_t slice = first; slice < first + size; ++slice) single.push_back({slice, 1});
    return reduce_terms(single, slices).nodes;
}

}  // namespace pruntrain
