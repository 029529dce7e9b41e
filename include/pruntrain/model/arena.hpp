// The packed values of all parameters of a rank, in contiguous arrays.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/range.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/model/parameter.hpp"

namespace pruntrain {

/// How optimizer state is partitioned over ranks that replicate everything else (ZeRO stage 1).
struct StatePartition {
    /// The range of an arena of this size whose slots this rank holds.
    std::function<Block(index_t size)> own;
    /// Redistributes an array. Collective. @param part  of an array of `size` elements those from `first` on; the parts
    ///     of all ranks make up the array. @return this rank's own range
    std::function<AlignedVector<real>(const AlignedVector<real>& part, index_t first, index_t size)> share_out;
};

/// Owns values, gradients and optimizer slots of all parameters, each kind one contiguous array in the order in which
/// backward finishes the parameters (last layer first). So a range of the arena is a message, a part of the optimizer
/// state, or a norm, without packing. Only the arena knows this order: all lists here, as everywhere, are in model
/// order, first layer first. Laid out anew only when patterns change. The gradients may live in memory of the caller.
// Large because layout, slots and version must change together, and each has its few readers.
class Arena {
   public:
    /// Lays out the parameters, values and gradients zero. They must outlive the arena and stay in place.
    /// @param parameters  in model order
    /// @param allocate    no: there are no values before `reset`
    explicit Arena(std::vector<Parameter*> parameters, bool allocate = true);
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    index_t size() const { return static_cast<index_t>(values_.size()); }
    std::span<real> values() { return values_; }
    std::span<real> gradients() { return gradients_; }

    /// Counts the changes of what the arena holds that are no updates by an optimizer: weights removed, added, moved,
    /// read from a file, set back to earlier values, or marked as soft-pruned. What was derived from the arena at
    /// another version (error-feedback residuals, masks, prepared plans) is stale.
    std::uint64_t version() const { return version_; }
    /// For whoever makes such a change through `values()` or a slot.
    void mark_changed() { ++version_; }
    /// The arena takes the place of another: its version is larger.
    void supersede(const Arena& other) { version_ += other.version_ + 1; }

    const std::vector<Parameter*>& parameters() const { return parameters_; }
    /// Where a parameter's packed values begin.
    index_t offset(std::size_t parameter) const { return offsets_[parameter]; }

    /// Slots: arrays of optimizer state of the arena's size, or of this rank's range of it, that follow the values.
    void create_slots(std::vector<std::string> names, std::optional<StatePartition> sharing = {});
    const std::vector<std::string>& slot_names() const { return slot_names_; }
    bool has_slot(const std::string& name) const;
    /// The index of the slot with this name, which must exist.
    std::size_t slot_number(const std::string& name) const;
    /// The range of the arena that the slots belong to.
    Block slot_range() const { return slot_range_; }
    /// Its intersection with a parameter, as a range of the arena.
    Block slot_range(std::size_t parameter) const;
    bool state_is_partitioned() const { return sharing_.has_value(); }
    std::span<real> slot(std::size_t number) { return slots_[number]; }

    /// Places the gradients, now zero, in memory of the caller, for instance memory shared with other ranks. It must
    /// outlive their use. After a change of the patterns they are at its front, or in own memory if they no longer fit.
    void place_gradients(std::span<real> memory);

    /// Removes weights: values, gradients and slots are compacted together. Collective if slots are partitioned.
    /// @param keep  for each parameter one flag for each packed position, or empty to keep all
    void keep(const std::vector<std::vector<std::uint8_t>>& keep);

    enum class Slots { follow, deferred };
    /// Gives parameters new patterns. What is in both keeps its value and slots; the values and slots of new positions
    /// are 0, and so are all gradients. Collective if slots are partitioned.
    /// @param patterns  for each parameter, or none to leave it as it is
    /// @param slots  deferred: they wait as they are for the next `set_patterns`, which must follow before they are
    /// used
    void set_patterns(std::vector<std::optional<Pattern>> patterns, Slots slots = Slots::follow);

    /// New patterns, with zeros for values, gradients and slots, to be filled from a checkpoint.
    void reset(const std::vector<Pattern>& patterns);

    std::size_t bytes() const;  ///< values, gradients, slots and patterns

   private:
    void attach();
    Block own_slots() const;
    index_t end(std::size_t parameter) const { return offsets_[parameter] + parameters_[parameter]->pattern.kept(); }

    std::vector<Parameter*> parameters_;
    std::vector<index_t> offsets_;
    std::uint64_t version_ = 0;
    AlignedVector<real> values_;
    AlignedVector<real> own_gradients_;  ///< empty where the gradients live elsewhere
    std::span<real> gradients_;
    std::vector<std::string> slot_names_;
    std::optional<StatePartition> sharing_;
    Block slot_range_;
    std::vector<AlignedVector<real>> slots_;
    std::vector<Pattern> deferred_patterns_;  ///< the patterns that slots wait with; none while they follow
};

}  // namespace pruntrain
