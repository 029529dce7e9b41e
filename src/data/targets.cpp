// The part of Dataset that gives targets their meaning: values, class labels or probabilities of classes.
#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/data/dataset.hpp"

namespace pruntrain {

namespace {

/// "3, 5 and 12 more"
std::string shown_classes(const Dataset& dataset, const std::vector<index_t>& classes) {
    constexpr std::size_t most = 10;
    std::vector<std::string> words;
    for (std::size_t i = 0; i < std::min(most, classes.size()); ++i) words.push_back(dataset.label(classes[i]));
    return join(words) + (classes.size() > most ? text(" and ", classes.size() - most, " more") : "");
}

/// Targets, unlike inputs, are not normalized: a large mean leaves few digits of float32 for their differences.
std::vector<std::string> value_notes(std::span<const float> targets, index_t width) {
    constexpr double largest_ratio = 1 << 10;
    std::vector<std::string> notes;
    const index_t samples = std::ssize(targets) / width;
    const auto rows = static_cast<double>(samples);
    for (index_t column = 0; column < width; ++column) {
        const auto first = static_cast<double>(targets[column]);
        double sum = 0, squares = 0;
        for (auto i = static_cast<std::size_t>(column); i < targets.size(); i += static_cast<std::size_t>(width)) {
            const double difference = static_cast<double>(targets[i]) - first;
            sum += difference;
            squares += difference * difference;
        }
        const double mean = first + sum / rows;
        const double deviation = std::sqrt(std::max(0.0, squares / rows - sum / rows * (sum / rows)));
        if (std::abs(mean) > largest_ratio * deviation)
            notes.push_back(text("warning: target ", column, " has mean ", mean, " and std ", deviation,
                                 " in float32, and targets are not normalized: subtract the mean from the targets in "
                                 "the file, and divide them by their std"));
    }
    return notes;
}

}  // namespace

void Dataset::check_classes(index_t classes, index_t outputs) const {
    labels_.check_count(classes);
    if (targets_are_ == Targets::one_hot) return;
    for (const Part part : {Part::train, Part::test}) {
        const auto targets = targets_of(part);
        for (std::size_t i = 0; i < targets.size(); ++i) {
            const index_t found = labels_.class_of(targets[i]);
            if (found >= 0 && found < classes) continue;
            if (found >= 0 && found < std::ssize(class_names_)) refuse_name(part, i, found, classes, outputs);
            input_error(names_[static_cast<std::size_t>(part)].targets, ": sample ", i,
                        " (counted from 0) has the label ", targets[i], ": allowed are ", labels_.allowed(classes),
                        ", for the ", classes, " classes of the network; ",
                        labels_.key() == "data.labels"
                            ? "add it to data.labels"
                            : label_hint(targets_of(Part::train), targets_of(Part::test), classes, outputs));
        }
    }
}

void Dataset::refuse_name(Part part, std::size_t sample, index_t found, index_t classes, index_t outputs) const {
    constexpr std::size_t most = 20;
    const auto names = std::ssize(class_names_);
    input_error(names_[static_cast<std::size_t>(part)].targets, ": sample ", sample,
                " (counted from 0) has the class '", class_names_[found], "', number ", found + 1, " of ", names,
                " classes (", join_some(class_names_, most), "), but the network has ", classes,
                " classes: ", advice_for_more_classes(names, classes, outputs));
}

void Dataset::check_values() const {
    if (!labels_.plain())
        input_error(labels_.key(),
                    " is for class labels, but with this train.loss and this last layer targets are values: "
                    "leave it out, or use cross_entropy with one output per class");
}

void Dataset::use_probabilities() {
    constexpr double tolerance = 1e-3;  // of labels rounded to a few digits
    const index_t width = header_.target_width;
    bool one_hot = true;
    for (const Part part : {Part::train, Part::test}) {
        const auto targets = targets_of(part);
        for (std::size_t row = 0; row < targets.size(); row += static_cast<std::size_t>(width)) {
            double sum = 0;
            bool negative = false;
            for (const float value : targets.subspan(row, width)) {
                sum += static_cast<double>(value);
                negative = negative || value < 0;
                one_hot = one_hot && (value == 0 || value == 1);
            }
            if (negative || std::abs(sum - 1) > tolerance)
                input_error(names_[static_cast<std::size_t>(part)].targets, ": the targets of sample ",
                            static_cast<index_t>(row) / width, " (counted from 0) ",
                            negative ? "have a negative value" : text("sum to ", exact(sum)),
                            ": with loss cross_entropy ", width, " targets are the probabilities of ", width,
                            " classes, at least 0 with the sum 1; real values are for mean_squared_error");
        }
    }
    if (one_hot) targets_are_ = Targets::one_hot;
}

std::string Dataset::label(index_t index) const {
    return index < std::ssize(class_names_) ? class_names_[static_cast<std::size_t>(index)]
                                            : exact(labels_.label_of(index));
}

float* Dataset::take_target(const float* stored, float* targets) const {
    const index_t width = header_.target_width;
    if (targets_are_ == Targets::one_hot)
        *targets = static_cast<float>(std::max_element(stored, stored + width) - stored);
    else if (!labels_.plain()) *targets = static_cast<float>(labels_.class_of(*stored));
    else return std::copy_n(stored, width, targets);
    return targets + 1;
}

index_t Dataset::class_of(Part part, index_t position) const {
    float found = 0;
    take_target(targets_of(part).data() + position * header_.target_width, &found);
    return static_cast<index_t>(found);
}

std::vector<index_t> Dataset::class_sizes(Split split, index_t classes) const {
    std::vector<index_t> sizes(static_cast<std::size_t>(classes));
    if (split == Split::train) {  // of all minus those held out: fewer positions of the permutation to compute
        for (index_t n = 0; n < samples_of(Part::train); ++n)
            ++sizes[static_cast<std::size_t>(class_of(Part::train, n))];
        for (const Split other : {Split::validation, Split::test}) {
            if (part_of(other) != Part::train) continue;
            const auto held_out = class_sizes(other, classes);
            for (std::size_t one = 0; one < sizes.size(); ++one) sizes[one] -= held_out[one];
        }
        return sizes;
    }
    for (index_t n = 0; n < samples(split); ++n)
        ++sizes[static_cast<std::size_t>(class_of(part_of(split), splits_.position(split, n)))];
    return sizes;
}

std::vector<std::string> Dataset::notes(index_t classes) const {
    std::vector<std::string> all;
    const auto shifted = std::ranges::count_if(offsets_, [](double offset) { return offset != 0; });
    if (shifted > 0)
        all.push_back(text(shifted, " of ", offsets_.size(), header_.shape.flat() ? " features" : " channels",
                           " of the inputs have a mean of more than 1024 std: it is subtracted in double precision"));
    if (classes == 0) {
        for (auto& note : value_notes(targets_of(Part::train), header_.target_width)) all.push_back(std::move(note));
        return all;
    }
    const char* const names[] = {"training", "validation", "test"};
    for (const Split split : {Split::train, Split::validation, Split::test}) {
        if (samples(split) == 0) continue;
        const auto sizes = class_sizes(split, classes);
        const std::string name = names[static_cast<std::size_t>(split)];
        std::vector<index_t> absent, present;
        for (index_t one = 0; one < classes; ++one) (sizes[one] == 0 ? absent : present).push_back(one);
        if (present.size() == 1)
            all.push_back(text("warning: all ", name, " samples have the label ", shown_classes(*this, present)));
        else if (split == Split::train && !absent.empty())
            all.push_back(text("warning: no training sample has the label", absent.size() == 1 ? " " : "s ",
                               shown_classes(*this, absent)));
    }
    return all;
}

}  // namespace pruntrain
