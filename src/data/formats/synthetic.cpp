// Random inputs, labeled by a random network (teacher): a data set of any size and difficulty without files.
#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/data/data_format.hpp"

namespace pruntrain {

namespace {

struct Recipe {
    index_t samples = 0;
    Shape shape;
    index_t classes = 0;
    index_t hidden = 0;
    double noise = 0;
    std::uint64_t seed = 0;
};

/// label = argmax V tanh(W x), V (classes, hidden), W (hidden, features), all entries normal. There is no bias, and x
/// is symmetric around 0. So all outputs have the same mean, and the classes are about equally frequent.
class Teacher {
   public:
    explicit Teacher(const Recipe& recipe)
        : features_(recipe.shape.size()),
          hidden_(recipe.hidden),
          first_(static_cast<std::size_t>(features_ * hidden_)),
          second_(static_cast<std::size_t>(recipe.classes * hidden_)),
          activation_(static_cast<std::size_t>(hidden_)) {
        const RandomStream first(recipe.seed, Purpose::synthetic_teacher, 0),
            second(recipe.seed, Purpose::synthetic_teacher, 1);
        const double spread = 1 / std::sqrt(static_cast<double>(features_));  // W x has std 1
        for (std::size_t i = 0; i < first_.size(); ++i) first_[i] = spread * first.normal(i);
        for (std::size_t i = 0; i < second_.size(); ++i) second_[i] = second.normal(i);
        for (auto row = second_.begin(); row != second_.end();
             row += hidden_) {  // rows of equal length: no class is preferred
            double square = 0;
            for (index_t j = 0; j < hidden_; ++j) square += row[j] * row[j];
            for (index_t j = 0; j < hidden_; ++j) row[j] /= std::sqrt(square);
        }
    }

    index_t label(const float* x) {
        std::fill(activation_.begin(), activation_.end(), 0.0);
        for (index_t i = 0; i < features_; ++i)
            for (index_t j = 0; j < hidden_; ++j) activation_[j] += first_[i * hidden_ + j] * double{x[i]};
        for (double& value : activation_) value = std::tanh(value);
        index_t best = 0;
        double best_output = -INFINITY;
        for (index_t c = 0; c * hidden_ < static_cast<index_t>(second_.size()); ++c) {
            double output = 0;
            for (index_t j = 0; j < hidden_; ++j) output += second_[c * hidden_ + j] * activation_[j];
            if (output > best_output) {
                best = c;
                best_output = output;
            }
        }
        return best;
    }

   private:
    index_t features_;
    index_t hidden_;
    std::vector<double> first_;   // W transposed: (features, hidden)
    std::vector<double> second_;  // V
    std::vector<double> activation_;
};

class SyntheticSource final : public SampleSource {
   public:
    explicit SyntheticSource(const Recipe& recipe) : recipe_(recipe) {}

    SampleHeader header() const override { return {recipe_.shape, recipe_.samples, 1, Element::float32}; }

    SampleNames names() const override { return {"synthetic data", "synthetic data"}; }

    /// Sample n is a pure function of (seed, n): values 0 .. features-1 of its random stream are its inputs. The next
    /// two values choose whether the label is noise, and which label.
    void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const override {
        Teacher teacher(recipe_);
        const index_t size = recipe_.shape.size();
        std::vector<float> unwanted(features.empty() ? static_cast<std::size_t>(size) : 0);
        for (index_t n = 0; n < count; ++n) {
            float* const inputs =
                features.empty() ? unwanted.data() : reinterpret_cast<float*>(features.data()) + n * size;
            const RandomStream random(recipe_.seed, Purpose::synthetic_sample, 0, first + n);
            for (index_t i = 0; i < size; ++i) inputs[i] = static_cast<float>(random.normal(i));
            if (targets.empty()) continue;
            index_t label = teacher.label(inputs);
            if (random.uniform(size) < recipe_.noise)
                label = static_cast<index_t>(random.uniform(size + 1) * static_cast<double>(recipe_.classes));
            targets[n] = static_cast<float>(label);
        }
    }

   private:
    Recipe recipe_;
};

class Synthetic final : public DataFormat {
   public:
    explicit Synthetic(const Recipe& recipe) : recipe_(recipe) {}

    /// Has no test part: the key test_samples takes test samples from these.
    std::unique_ptr<SampleSource> open(Part part) const override {
        return part == Part::train ? std::make_unique<SyntheticSource>(recipe_) : nullptr;
    }

   private:
    Recipe recipe_;
};

}  // namespace

std::unique_ptr<DataFormat> make_synthetic(const Config& config, const DataNeeds&) {
    constexpr double largest = 0xFFFFFFFF;  // random streams are indexed by 32 bits
    Recipe recipe;
    recipe.samples = config.integer("samples", 10000, between(1, largest), "number of samples in all splits together");
    recipe.shape = to_shape(read_shape(config, {32}, "[features] or [channels, rows, columns] of a sample"));
    recipe.classes = config.integer("classes", 10, between(2, 1 << 20), "number of classes");
    recipe.hidden = config.integer("hidden", 32, between(1, 1 << 20), "hidden units of the labeling network");
    recipe.noise = config.number("noise", 0.0, between(0, 1), "fraction of labels that are random (label noise)");
    recipe.seed = static_cast<std::uint64_t>(
        config.integer("seed", 0, at_least(0), "seed of the samples and of the labeling network"));
    return std::make_unique<Synthetic>(recipe);
}

}  // namespace pruntrain
