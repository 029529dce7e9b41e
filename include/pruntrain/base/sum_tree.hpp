// A binary tree over slices of a batch: one fixed order of additions, for any distribution of the slices.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// The slices first .. first + size - 1 as a node of the tree. A node of more than one slice has two children; the left
/// child has the largest power of two below the size. So the root of 6 slices is ((0+1)+(2+3))+(4+5).
struct TreeNode {
    index_t first = 0;
    index_t size = 0;

    TreeNode left() const;
    TreeNode right() const;
    friend bool operator==(const TreeNode&, const TreeNode&) = default;
};

/// One addition of two terms, given by their indices in a list.
struct Addition {
    std::size_t into, from;
};

/// Additions that reduce a list of terms as far as the tree allows.
struct Reduction {
    std::vector<Addition> additions;  ///< in this order
    std::vector<std::size_t> left;    ///< indices of the remaining terms, ordered by slices
    std::vector<TreeNode> nodes;      ///< their nodes
};

/// @param terms   nodes without common slices, in any order
/// @param slices  of the whole tree
Reduction reduce_terms(std::span<const TreeNode> terms, index_t slices);

/// The minimal list of nodes that cover the slices first .. first + size - 1.
std::vector<TreeNode> nodes_of(index_t first, index_t size, index_t slices);

}  // namespace pruntrain
