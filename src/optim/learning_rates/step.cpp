// Step decay: the rate is multiplied by a factor at regular intervals.
#include <cmath>

#include "pruntrain/optim/learning_rate.hpp"

namespace pruntrain {

namespace {

class Step final : public RateShape {
   public:
    Step(double every_epochs, double drop) : every_epochs_(every_epochs), drop_(drop) {}
    double factor(double epoch, double) const override { return std::pow(drop_, std::floor(epoch / every_epochs_)); }

   private:
    double every_epochs_, drop_;
};

}  // namespace

std::unique_ptr<RateShape> make_step(const Config& config) {
    const double every = config.number("every_epochs", 10.0, above(0), "epochs between two decays");
    const double drop =
        config.number("factor", 0.1, {.low = 0, .high = 1, .low_open = true}, "factor on the rate at each decay");
    return std::make_unique<Step>(every, drop);
}

}  // namespace pruntrain
