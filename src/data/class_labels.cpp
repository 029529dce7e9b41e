#include "pruntrain/data/class_labels.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr double most_classes = 1 << 24;  // float32, the type of targets, holds all integers up to here

std::string list(const std::vector<double>& numbers) {
    std::vector<std::string> words;
    for (const double number : numbers) words.push_back(exact(number));
    return "[" + join(words) + "]";
}

}  // namespace

ClassLabels::ClassLabels(const Config& section) {
    first_ = static_cast<double>(section.integer("first_class", 0, between(-most_classes, most_classes),
                                                 "label of the first class; 1: the labels in the files count from 1"));
    values_ = section.numbers("labels", std::vector<double>{}, {},
                              "labels in the files in the order of the classes, for example [-1, 1]; []: integers from "
                              "first_class");
    if (values_.empty()) return;
    if (first_ != 0) input_error(section.place_of("first_class"), " and labels exclude each other: give one");
    std::set<float> seen;
    for (const double value : values_)
        if (!seen.insert(static_cast<float>(value)).second)
            input_error(section.place_of("labels"), " lists the label ", exact(value), " twice: list each label once");
}

index_t ClassLabels::class_of(float label) const {
    if (values_.empty()) {
        const double index = static_cast<double>(label) - first_;
        return index >= 0 && index <= 2 * most_classes && index == std::floor(index) ? static_cast<index_t>(index) : -1;
    }
    const auto found = std::ranges::find_if(values_, [&](double value) { return static_cast<float>(value) == label; });
    return found == values_.end() ? -1 : found - values_.begin();
}

double ClassLabels::label_of(index_t index) const {
    return values_.empty() ? first_ + static_cast<double>(index) : values_[index];
}

std::string ClassLabels::allowed(index_t classes) const {
    if (!values_.empty()) return "those of data.labels, " + list(values_);
    return text("integers from ", exact(first_), " to ", exact(first_ + static_cast<double>(classes - 1)));
}

void ClassLabels::check_count(index_t classes) const {
    if (std::ssize(values_) > classes)
        input_error("data.labels lists ", values_.size(), " labels, but the network has ", classes,
                    " classes: list fewer, or give the last layer more outputs");
}

std::string advice_for_more_classes(index_t wanted, index_t classes, index_t outputs) {
    const bool binary = outputs < classes;
    return text(binary ? "binary_cross_entropy is for two classes: set train.loss to cross_entropy, and " : "",
                "give the last layer ", wanted, " outputs");
}

std::string label_hint(std::span<const float> train, std::span<const float> test, index_t classes, index_t outputs) {
    constexpr std::size_t most_shown = 20, most_outputs = 10000;
    std::set<float> seen;
    for (const auto labels : {train, test})
        for (const float label : labels)
            if (seen.size() <= most_outputs) seen.insert(label);
    const std::vector<double> labels(seen.begin(), seen.end());
    const bool whole = std::ranges::all_of(labels, [](double label) { return label == std::floor(label); });
    const index_t count = labels.size();
    const double low = labels.front(), high = labels.back();
    if (!whole || labels.size() > most_outputs)
        return "real values are for train.loss: mean_squared_error, with one output";
    if (count <= classes && high - low < static_cast<double>(classes) && !(low == -1 && count == 2 && high == 1))
        return text("the files have labels from ", exact(low), " to ", exact(high), ": set data.first_class to ",
                    exact(low));
    if (count <= classes && labels.size() <= most_shown)
        return text("set data.labels to ", list(labels), ", the labels in the files");
    if (count <= classes) return "list the labels of the files in data.labels, in the order of the classes";
    const bool from_zero = low == 0 && high == static_cast<double>(count - 1);
    return text("the files have ", count, " different labels, from ", exact(low), " to ", exact(high), ": ",
                advice_for_more_classes(count, classes, outputs),
                from_zero                                      ? ""
                : high - low + 1 == static_cast<double>(count) ? text(", and set data.first_class to ", exact(low))
                : labels.size() <= most_shown                  ? text(", and set data.labels to ", list(labels))
                                                               : ", and list the labels in data.labels");
}

}  // namespace pruntrain
