// Scores of whole units or channels, which all weights into them share: the scale of the batch-norm behind (Liu et al.
// 2017, "Learning efficient convolutional networks through network slimming"), the mean absolute activation, and the
// share of activations that are not 0 (Hu et al. 2016, "Network trimming", whose APoZ is the share that is).
// Activations are those behind the relu that follows; of channels, over all pixels.
#include <cmath>

#include "pruntrain/prune/criterion.hpp"

namespace pruntrain {

namespace {

class Units final : public Criterion {
   public:
    Units(std::string name, ScoreInput what) : name_(std::move(name)), what_(what) {}

    ScoreInput score_input() const override { return what_; }
    bool scores_units() const override { return true; }

    std::vector<real> scores(const Parameter& parameter) const override {
        std::vector<real> all(parameter.value.size());
        for (std::size_t k = 0; k < all.size(); ++k) all[k] = std::abs(parameter.gradient[k]);
        return all;
    }

    std::string describe() const override { return name_; }

   private:
    std::string name_;
    ScoreInput what_;
};

}  // namespace

std::unique_ptr<Criterion> make_batch_norm_scale(const Config&, std::uint64_t) {
    return std::make_unique<Units>("batch-norm scale", ScoreInput::channel_scale);
}
std::unique_ptr<Criterion> make_activation(const Config&, std::uint64_t) {
    return std::make_unique<Units>("activation", ScoreInput::mean_activation);
}
std::unique_ptr<Criterion> make_apoz(const Config&, std::uint64_t) {
    return std::make_unique<Units>("APoZ", ScoreInput::active_share);
}

}  // namespace pruntrain
