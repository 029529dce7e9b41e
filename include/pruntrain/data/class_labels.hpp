// How targets in the files become classes 0 .. K-1.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pruntrain/config/config.hpp"

namespace pruntrain {

/// The keys `data.first_class` and `data.labels`.
class ClassLabels {
   public:
    ClassLabels() = default;
    explicit ClassLabels(const Config& section);

    /// True if targets are the classes, without any key.
    bool plain() const { return first_ == 0 && values_.empty(); }
    /// The class of a label; -1 if it has none. Any label up to the largest integer has one with `first_class`.
    index_t class_of(float label) const;
    /// The label of a class, for messages.
    double label_of(index_t index) const;
    /// "data.labels" or "data.first_class", whichever was given.
    std::string key() const { return values_.empty() ? "data.first_class" : "data.labels"; }
    /// The labels that are classes 0 .. classes-1: "integers from 0 to 9".
    std::string allowed(index_t classes) const;
    /// @throws InputError if more labels are listed than there are classes
    void check_count(index_t classes) const;

   private:
    double first_ = 0;
    std::vector<double> values_;  // per class; empty: integers from first_
};

/// What to write so that these labels, some of which are no classes 0 .. classes-1, are accepted.
/// @param outputs  of the network; fewer than the classes for a loss of two classes
std::string label_hint(std::span<const float> train, std::span<const float> test, index_t classes, index_t outputs);
/// How to get a network of more classes.
std::string advice_for_more_classes(index_t wanted, index_t classes, index_t outputs);

}  // namespace pruntrain
