#include <doctest/doctest.h>

#include <string>

#include "pruntrain/base/sum_tree.hpp"

using namespace pruntrain;

namespace {

/// What a node adds up, in words: ((0+1)+2).
std::string words(const TreeNode& node) {
    if (node.size == 1) return std::to_string(node.first);
    return "(" + words(node.left()) + "+" + words(node.right()) + ")";
}

/// The terms that a reduction leaves, in words.
std::vector<std::string> reduced_words(const std::vector<TreeNode>& terms, index_t slices) {
    std::vector<std::string> sums;
    for (const auto& term : terms) sums.push_back(words(term));
    const Reduction reduction = reduce_terms(terms, slices);
    for (const auto& [into, from] : reduction.additions) {
        std::string sum = "(" + sums[into];
        sum += "+" + sums[from] + ")";
        sums[into] = sum;
    }
    std::vector<std::string> left;
    for (std::size_t i = 0; i < reduction.left.size(); ++i) {
        left.push_back(sums[reduction.left[i]]);
        CHECK(left.back() == words(reduction.nodes[i]));
    }
    return left;
}

}  // namespace

TEST_CASE("sum tree: the left child has the largest power of two") {
    CHECK(words({0, 1}) == "0");
    CHECK(words({0, 3}) == "((0+1)+2)");
    CHECK(words({0, 8}) == "(((0+1)+(2+3))+((4+5)+(6+7)))");
    CHECK(words({0, 6}) == "(((0+1)+(2+3))+(4+5))");
}

TEST_CASE("sum tree: however the slices are shared out, the sum is that of the root") {
    for (index_t slices = 1; slices <= 20; ++slices) {
        const TreeNode root{0, slices};
        for (index_t ranks = 1; ranks <= slices; ++ranks) {
            std::vector<TreeNode> terms;
            for (index_t rank = 0; rank < ranks; ++rank) {
                const index_t first = slices * rank / ranks, size = slices * (rank + 1) / ranks - first;
                const auto own = nodes_of(first, size, slices);
                index_t covered = first;
                for (const auto& node : own) {
                    CHECK(node.first == covered);
                    covered += node.size;
                }
                CHECK(covered == first + size);
                if (ranks == 1 || (slices % ranks == 0 && (slices & (slices - 1)) == 0)) CHECK(own.size() == 1);
                terms.insert(terms.end(), own.begin(), own.end());
            }
            CHECK(reduced_words(terms, slices) == std::vector{words(root)});
            std::swap(terms.front(), terms.back());  // the order of the list does not count
            CHECK(reduced_words(terms, slices) == std::vector{words(root)});
        }
    }
}

TEST_CASE("sum tree: what cannot be added yet is left") {
    CHECK(reduced_words({{1, 1}, {2, 1}, {3, 1}, {4, 2}}, 8) == std::vector<std::string>{"1", "(2+3)", "(4+5)"});
    CHECK(reduced_words({{2, 2}, {6, 1}}, 7) == std::vector<std::string>{"(2+3)", "6"});
    CHECK(reduced_words({{4, 2}, {6, 1}}, 7) == std::vector<std::string>{"((4+5)+6)"});
    CHECK(reduced_words({}, 4).empty());
}
