#include "pruntrain/model/arena.hpp"

#include <algorithm>
#include <numeric>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

Arena::Arena(std::vector<Parameter*> parameters, bool allocate) : parameters_(std::move(parameters)) {
    if (allocate) attach();
}

void Arena::attach() {
    offsets_.resize(parameters_.size());
    index_t size = 0;
    for (std::size_t i = parameters_.size(); i-- > 0;) {  // backward finishes the last layer first
        offsets_[i] = size;
        size += parameters_[i]->pattern.kept();
    }
    const std::size_t count = size;
    values_.resize(count);
    if (deferred_patterns_.empty()) {
        slot_range_ = own_slots();
        for (auto& slot : slots_) slot.resize(slot_range_.size);
    }
    if (own_gradients_.empty() && gradients_.size() >= count) {
        gradients_ = gradients_.first(count);
    } else {
        own_gradients_ = AlignedVector<real>();  // freed first, so that the memory is never allocated twice
        own_gradients_.resize(count);
        gradients_ = own_gradients_;
    }
    std::fill(gradients_.begin(), gradients_.end(), real{0});
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        auto& parameter = *parameters_[i];
        const std::size_t offset = offsets_[i];
        const std::size_t kept = parameter.pattern.kept();
        parameter.value = std::span(values_).subspan(offset, kept);
        parameter.gradient = gradients_.subspan(offset, kept);
    }
}

void Arena::create_slots(std::vector<std::string> names, std::optional<StatePartition> sharing) {
    ++version_;  // marks in a slot are gone
    slot_names_ = std::move(names);
    sharing_ = std::move(sharing);
    slot_range_ = own_slots();
    slots_.assign(slot_names_.size(), AlignedVector<real>(slot_range_.size, real{0}));
}

bool Arena::has_slot(const std::string& name) const {
    return std::ranges::find(slot_names_, name) != slot_names_.end();
}

std::size_t Arena::slot_number(const std::string& name) const {
    const auto found = std::ranges::find(slot_names_, name);
    if (found == slot_names_.end()) fault("the arena has no optimizer state named ", name);
    return static_cast<std::size_t>(found - slot_names_.begin());
}

Block Arena::slot_range(std::size_t parameter) const {
    const index_t last = slot_range_.first + slot_range_.size;
    const index_t first = std::clamp(offsets_[parameter], slot_range_.first, last);
    return {first, std::clamp(end(parameter), first, last) - first};
}

Block Arena::own_slots() const { return sharing_ ? sharing_->own(size()) : Block{0, size()}; }

void Arena::place_gradients(std::span<real> memory) {
    if (memory.size() < values_.size())
        fault("there is memory for ", memory.size(), " of ", values_.size(), " gradients");
    own_gradients_ = AlignedVector<real>();
    gradients_ = memory;
    attach();
}

void Arena::keep(const std::vector<std::vector<std::uint8_t>>& keep) {
    ++version_;
    if (keep.size() != parameters_.size())
        fault("flags were given for ", keep.size(), " of ", parameters_.size(), " parameters");
    if (!deferred_patterns_.empty()) fault("weights are removed while the optimizer state still has an old pattern");
    const auto stays = [&](std::size_t i, index_t k) { return keep[i].empty() || keep[i][k - offsets_[i]] != 0; };
    // The remaining elements of an array like the arena's, which starts at element `first`.
    const auto compacted = [&](const AlignedVector<real>& part, index_t first) {
        const index_t last = first + static_cast<index_t>(part.size());
        AlignedVector<real> kept;
        kept.reserve(part.size());
        for (std::size_t i = parameters_.size(); i-- > 0;)
            for (index_t k = std::max(first, offsets_[i]); k < std::min(last, end(i)); ++k)
                if (stays(i, k)) kept.push_back(part[k - first]);
        kept.shrink_to_fit();
        return kept;
    };
    index_t kept_before = 0;  // remaining elements before this rank's optimizer state
    for (std::size_t i = 0; i < parameters_.size(); ++i)
        for (index_t k = offsets_[i]; k < std::min(slot_range_.first, end(i)); ++k) kept_before += stays(i, k);
    values_ = compacted(values_, 0);
    for (auto& slot : slots_) {
        slot = compacted(slot, slot_range_.first);
        if (sharing_) slot = sharing_->share_out(slot, kept_before, size());
    }
    for (std::size_t i = 0; i < parameters_.size(); ++i)
        if (!keep[i].empty()) {
            parameters_[i]->pattern.keep(keep[i]);
            ++parameters_[i]->pattern_changes;
        }
    attach();
}

namespace {

/// A range of an array that covers all patterns of an arena.
struct Part {
    AlignedVector<real> numbers;
    index_t first = 0;
};

/// The range of the new array that replaces a range of the old one. Each new element is assigned to the next old
/// element, or to the last one if there is none.
Part moved(const Part& old, const std::vector<Pattern>& from, const std::vector<Parameter*>& to) {
    index_t size = 0, offset = 0;
    for (const Pattern& pattern : from) size += pattern.kept();
    const index_t last = old.first + static_cast<index_t>(old.numbers.size());
    Part result;
    if (old.first == 0 && last == size)  // the whole array: its new size is known
        result.numbers.reserve(
            std::accumulate(to.begin(), to.end(), std::size_t{0}, [](std::size_t sum, auto* parameter) {
                return sum + static_cast<std::size_t>(parameter->pattern.kept());
            }));
    for (std::size_t i = from.size(); i-- > 0;) {
        to[i]->pattern.for_each_match(from[i], [&](index_t before, bool there) {
            const index_t at = offset + before, owner = std::min(at, size - 1);
            if (owner < old.first) ++result.first;
            else if (owner < last) result.numbers.push_back(there ? old.numbers[at - old.first] : real{0});
        });
        offset += from[i].kept();
    }
    result.numbers.shrink_to_fit();
    return result;
}

}  // namespace

void Arena::set_patterns(std::vector<std::optional<Pattern>> patterns, Slots slots) {
    ++version_;
    if (patterns.size() != parameters_.size())
        fault("patterns were given for ", patterns.size(), " of ", parameters_.size(), " parameters");
    std::vector<Pattern> before;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
        Parameter& parameter = *parameters_[i];
        before.push_back(parameter.pattern);
        if (!patterns[i]) continue;
        if (patterns[i]->rows() != parameter.pattern.rows() || patterns[i]->columns() != parameter.pattern.columns())
            fault("a pattern of shape ", patterns[i]->rows(), " x ", patterns[i]->columns(), " for ",
                  parameter.full_name());
        parameter.pattern = std::move(*patterns[i]);
        ++parameter.pattern_changes;
    }
    values_ = moved({std::move(values_), 0}, before, parameters_).numbers;
    if (deferred_patterns_.empty()) deferred_patterns_ = std::move(before);
    if (slots == Slots::follow) {
        for (auto& slot : slots_) {
            Part part = moved({std::move(slot), slot_range_.first}, deferred_patterns_, parameters_);
            slot = sharing_ ? sharing_->share_out(part.numbers, part.first, size()) : std::move(part.numbers);
        }
        deferred_patterns_.clear();
    }
    attach();
}

void Arena::reset(const std::vector<Pattern>& patterns) {
    ++version_;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        parameters_[i]->pattern = patterns[i];
        ++parameters_[i]->pattern_changes;
    }
    deferred_patterns_.clear();
    values_ = AlignedVector<real>();
    for (auto& slot : slots_) slot = AlignedVector<real>();
    attach();
}

std::size_t Arena::bytes() const {
    std::size_t bytes =
        (2 * values_.size() + slots_.size() * static_cast<std::size_t>(slot_range_.size)) * sizeof(real);
    for (const auto* parameter : parameters_) bytes += parameter->pattern.index_bytes();
    return bytes;
}

}  // namespace pruntrain
