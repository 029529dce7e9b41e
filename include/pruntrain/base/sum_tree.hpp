// A binary tree over slices of a batch: one fixed order of additions, whoever holds which slices.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// The slices first .. first + size - 1 as a node of the tree. A node of more than one slice has two children; the left
/// one has the largest power of two that is below the size. So the root of 6 slices is ((0+1)+(2+3))+(4+5).
struct TreeNode {
    index_t first = 0;
    index_t size = 0;

    TreeNode left() const;
    TreeNode right() const;
    friend bool operator==(const TreeNode&, const TreeNode&) = default;
};

/// One addition of terms, numbers in a list.
struct Addition {
    std::size_t into, from;
};

/// How a list of terms becomes as short as the tree allows.
struct Reduction {
    std::vector<Addition> additions;  ///< in this order
    std::vector<std::size_t> left;    ///< the terms that are left, by their slices
    std::vector<TreeNode> nodes;      ///< their nodes
};

/// @param terms   nodes that share no slice, in any order
/// @param slices  of the whole tree
Reduction reduce_terms(std::span<const TreeNode> terms, index_t slices);

/// The nodes that make up the slices first .. first + size - 1: as few as there can be.
std::vector<TreeNode> nodes_of(index_t first, index_t size, index_t slices);

}  // namespace pruntrain
