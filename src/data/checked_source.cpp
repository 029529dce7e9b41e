#include "pruntrain/data/checked_source.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

PRUNTRAIN_VECTORIZED
bool all_finite(std::span<const float> values) {
    const auto exponent = std::bit_cast<std::uint32_t>(INFINITY);
    std::uint32_t found = 0;  // no branch, so that the loop vectorizes
    for (const float value : values)
        found |= std::uint32_t{(std::bit_cast<std::uint32_t>(value) & exponent) == exponent};
    return found == 0;
}

/// Index of the first value that is NaN or infinite, or -1.
index_t first_bad(std::span<const float> values) {
    if (all_finite(values)) return -1;
    return std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); }) - values.begin();
}

std::string describe_bad(double value) {
    if (std::isnan(value)) return "NaN (a missing value)";
    if (std::isinf(value)) return value > 0 ? "infinite" : "minus infinite";
    return exact(value) + ", too large for float32 (allowed is up to 3.4e38)";
}

class CheckedSource final : public SampleSource {
   public:
    CheckedSource(std::unique_ptr<SampleSource> source, const Offsets& offsets)
        : source_(std::move(source)), header_(source_->header()) {
        if (offsets.empty()) return;
        for (index_t feature = 0; feature < header_.shape.size(); ++feature)
            offsets_.push_back(offsets[feature / header_.shape.pixels()]);
    }

    SampleHeader header() const override { return header_; }
    std::string why_sequential() const override { return source_->why_sequential(); }
    std::vector<std::string> warnings() const override { return source_->warnings(); }
    std::string layout_hint() const override { return source_->layout_hint(); }
    const std::vector<ClassName>* classes() const override { return source_->classes(); }
    std::vector<std::string> input_names() const override { return source_->input_names(); }
    SampleNames names() const override { return source_->names(); }
    bool is_wide() const override { return source_->is_wide(); }
    void visit(index_t first, index_t count, const Take& take) const override { source_->visit(first, count, take); }

    void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const override {
        const std::span floats{reinterpret_cast<float*>(features.data()), features.size() / sizeof(float)};
        if (offsets_.empty() || features.empty()) {
            source_->read(first, count, features, targets);
        } else {
            read_shifted(first, count, floats);
            if (!targets.empty()) source_->read(first, count, {}, targets);
        }
        if (header_.element == Element::float32) check_features(first, floats);
        check_targets(first, targets);
    }

   private:
    void read_shifted(index_t first, index_t count, std::span<float> features) const {
        source_->visit(first, count, [&](index_t sample, std::span<const double> values) {
            float* const to = features.data() + (sample - first) * header_.shape.size();
            for (std::size_t i = 0; i < values.size(); ++i) to[i] = static_cast<float>(values[i] - offsets_[i]);
        });
    }

    void check_features(index_t first, std::span<const float> features) const {
        const index_t bad = first_bad(features);
        if (bad < 0) return;
        const index_t sample = first + bad / header_.shape.size(), feature = bad % header_.shape.size();
        auto value = static_cast<double>(features[bad]);
        if (source_->is_wide())
            source_->visit(sample, 1, [&](index_t, std::span<const double> values) { value = values[feature]; });
        throw WrongValue(text(names().inputs, ": feature ", feature, " of sample ", sample,
                              " (both counted from 0) is ", describe_bad(value),
                              ": replace the value, or remove the sample"));
    }

    void check_targets(index_t first, std::span<const float> targets) const {
        const index_t bad = first_bad(targets);
        if (bad < 0) return;
        throw WrongValue(text(names().targets, ": target ", bad % header_.target_width, " of sample ",
                              first + bad / header_.target_width, " (both counted from 0) is ",
                              describe_bad(static_cast<double>(targets[bad])),
                              ": replace the value, or remove the sample"));
    }

    std::unique_ptr<SampleSource> source_;
    SampleHeader header_;
    Offsets offsets_;  // per feature
};

}  // namespace

std::unique_ptr<SampleSource> CheckedFormat::open(Part part) const {
    auto source = files_.open(part);
    if (!source) return nullptr;
    return std::make_unique<CheckedSource>(std::move(source), offsets_);
}

}  // namespace pruntrain
