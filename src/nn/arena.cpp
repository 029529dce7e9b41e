#include "pruntrain/nn/arena.hpp"

#include <algorithm>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

Arena::Arena(std::vector<Parameter*> backward_order) : parameters_(std::move(backward_order)) { attach(); }

void Arena::attach() {
    offsets_.clear();
    index_t size = 0;
    for (const auto* parameter : parameters_) {
        offsets_.push_back(size);
        size += parameter->pattern.kept();
    }
    const auto count = static_cast<std::size_t>(size);
    values_.resize(count);
    for (auto& slot : slots_) slot.resize(count);
    if (own_gradients_.empty() && gradients_.size() >= count) {
        gradients_ = gradients_.first(count);
    } else {
        own_gradients_ = AlignedVector<real>();  // first, so that there is never twice the memory
        own_gradients_.resize(count);
        gradients_ = own_gradients_;
    }
    std::fill(gradients_.begin(), gradients_.end(), real{0});
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        auto& parameter = *parameters_[i];
        const auto offset = static_cast<std::size_t>(offsets_[i]);
        const auto kept = static_cast<std::size_t>(parameter.pattern.kept());
        parameter.value = std::span(values_).subspan(offset, kept);
        parameter.gradient = gradients_.subspan(offset, kept);
    }
}

void Arena::create_slots(std::vector<std::string> names) {
    slot_names_ = std::move(names);
    slots_.assign(slot_names_.size(), AlignedVector<real>(values_.size(), real{0}));
}

void Arena::place_gradients(std::span<real> memory) {
    if (memory.size() < values_.size()) fault("memory for ", memory.size(), " of ", values_.size(), " gradients");
    own_gradients_ = AlignedVector<real>();
    gradients_ = memory;
    attach();
}

void Arena::keep(const std::vector<std::vector<std::uint8_t>>& keep) {
    if (keep.size() != parameters_.size()) fault("flags for ", keep.size(), " of ", parameters_.size(), " parameters");
    const auto compacted = [&](const AlignedVector<real>& all) {
        AlignedVector<real> kept;
        kept.reserve(all.size());
        for (std::size_t i = 0; i < parameters_.size(); ++i) {
            const auto begin = all.begin() + offsets_[i];
            const index_t count = parameters_[i]->pattern.kept();
            if (keep[i].empty()) kept.insert(kept.end(), begin, begin + count);
            else
                for (index_t k = 0; k < count; ++k)
                    if (keep[i][static_cast<std::size_t>(k)]) kept.push_back(begin[k]);
        }
        kept.shrink_to_fit();
        return kept;
    };
    values_ = compacted(values_);
    for (auto& slot : slots_) slot = compacted(slot);
    for (std::size_t i = 0; i < parameters_.size(); ++i)
        if (!keep[i].empty()) parameters_[i]->pattern.keep(keep[i]);
    attach();
}

void Arena::reset(const std::vector<Pattern>& patterns) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i]->pattern = patterns[i];
    values_ = AlignedVector<real>();
    for (auto& slot : slots_) slot = AlignedVector<real>();
    attach();
}

std::size_t Arena::bytes() const {
    std::size_t bytes = (2 + slots_.size()) * values_.size() * sizeof(real);
    for (const auto* parameter : parameters_) bytes += parameter->pattern.index_bytes();
    return bytes;
}

}  // namespace pruntrain
