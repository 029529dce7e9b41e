#include "pruntrain/optim/regularizer.hpp"

#include <algorithm>

namespace pruntrain {

Regularizer::Regularizer(const Config& config)
    : strength_(config.number("strength", std::nullopt, above(0), "lambda, weight of the regularizer in the loss")),
      warmup_epochs_(config.number("warmup_epochs", 0.0, at_least(0), "epochs in which the strength rises from 0")) {}

void Regularizer::apply(Arena& arena, double learning_rate, double epoch, const Communicator& shards) const {
    const double strength = warmup_epochs_ > 0 ? strength_ * std::min(1.0, epoch / warmup_epochs_) : strength_;
    for (Parameter* parameter : arena.parameters())
        if (applies_to(*parameter)) shrink(*parameter, learning_rate * strength, shards);
}

std::unique_ptr<Regularizer> make_none(const Config&) { return nullptr; }

}  // namespace pruntrain
