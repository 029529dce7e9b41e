#include "pruntrain/prune/scored.hpp"

namespace pruntrain {

void choose_best(index_t keep, std::vector<Scored>& scored, std::span<const std::size_t> tensors, const Grid& grid) {
    // Replicas hold equal copies, so each contributes a part: the work is divided, and each candidate is on one rank.
    const index_t rank = grid.replicas().rank(), ranks = grid.replicas().size();
    const auto for_each = [&](auto work) {
        for (const std::size_t i : tensors) {
            const Scored& tensor = scored[i];
            const index_t size = tensor.scores.size();
            tensor.for_each(size * rank / ranks, size * (rank + 1) / ranks,
                            [&](std::size_t k, std::uint64_t key, weight_number_t number) {
                                if (!tensor.keep[k]) work(key, number);
                            });
        }
    };
    const Cut cut = cut_keeping(static_cast<std::uint64_t>(keep), for_each, grid.world());
    for (const std::size_t i : tensors)
        scored[i].for_each(0, static_cast<index_t>(scored[i].scores.size()),
                           [&](std::size_t k, std::uint64_t key, weight_number_t number) {
                               if (cut.keeps(key, number)) scored[i].keep[k] = 1;
                           });
}

}  // namespace pruntrain
