#include "pruntrain/optim/optimizer.hpp"

#include <cmath>

namespace pruntrain {

PRUNTRAIN_VECTORIZED
static double sum_of_squares(std::span<const real> values) {
    constexpr std::size_t lanes =
        8;  // independent partial sums, so that the loop vectorizes with a fixed order of additions
    double partial[lanes] = {};
    std::size_t i = 0;
    for (; i + lanes <= values.size(); i += lanes)
        for (std::size_t lane = 0; lane < lanes; ++lane)
            partial[lane] += static_cast<double>(values[i + lane]) * static_cast<double>(values[i + lane]);
    double sum = 0;
    for (const double one : partial) sum += one;
    for (; i < values.size(); ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    return sum;
}

double update_parameters(const Optimizer& optimizer, Arena& arena, index_t number, double learning_rate,
                         double weight_decay, double clip_norm, const Communicator& shards) {
    UpdateStep step{.number = number, .learning_rate = learning_rate};
    double norm = 0;
    if (clip_norm > 0) {
        double squares = sum_of_squares(arena.gradients());
        shards.all_reduce_sum(std::span(&squares, 1));
        norm = std::sqrt(squares);
        if (norm > clip_norm) step.gradient_scale = clip_norm / norm;
    }
    std::vector<std::span<real>> state(arena.slot_names().size());
    for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
        const Parameter& parameter = *arena.parameters()[i];
        const Block own = arena.slot_range(i);  // the range that this rank updates
        if (own.size == 0) continue;
        const auto first = static_cast<std::size_t>(own.first), count = static_cast<std::size_t>(own.size);
        for (std::size_t slot = 0; slot < state.size(); ++slot)
            state[slot] = arena.slot(slot).subspan(first - static_cast<std::size_t>(arena.slot_range().first), count);
        step.weight_decay = parameter.decayed ? weight_decay : 0;
        optimizer.update(step, arena.values().subspan(first, count), arena.gradients().subspan(first, count), state);
    }
    return norm;
}

}  // namespace pruntrain
