// Rectangles of a weight's matrix: blocks, and as their special cases rows (all weights into a unit or output channel;
// Li et al. 2017, "Pruning filters for efficient convnets") and columns (all weights out of an input unit or channel).
// The columns of a convolution are counted in channels, with all kh x kw taps of the window.
#include "pruntrain/base/text.hpp"
#include "pruntrain/prune/granularity.hpp"

namespace pruntrain {

namespace {

class Block final : public Granularity {
   public:
    /// @param rows, columns  of a block, in outputs and input channels; 0: all
    Block(std::string name, index_t rows, index_t columns, GroupNorm norm)
        : name_(std::move(name)), rows_(rows), columns_(columns), norm_(norm) {}

    index_t count(const std::vector<index_t>& shape) const override {
        return blocks(shape[0], rows_) * blocks(shape[1], columns_);
    }
    index_t group_of(const std::vector<index_t>& shape, index_t row, index_t column) const override {
        index_t taps = 1;
        for (std::size_t i = 2; i < shape.size(); ++i) taps *= shape[i];
        const index_t down = rows_ == 0 ? 0 : row / rows_, right = columns_ == 0 ? 0 : column / taps / columns_;
        return down * blocks(shape[1], columns_) + right;
    }
    GroupNorm norm() const override { return norm_; }
    Traits traits() const override {
        Traits traits{.has = {}, .refuses = {Trait::regrows, Trait::score_threshold}};
        const bool is_unit = rows_ == 1 && columns_ == 0;
        if (is_unit) traits.has.push_back(Trait::whole_outputs);
        if (!is_unit || norm_ != GroupNorm::mean) traits.refuses.push_back(Trait::unit_scores);
        return traits;
    }
    std::string describe() const override { return text(name_, " by their ", text_of(norm_)); }

   private:
    static index_t blocks(index_t size, index_t of) { return of == 0 ? 1 : (size + of - 1) / of; }

    std::string name_;
    index_t rows_, columns_;
    GroupNorm norm_;
};

}  // namespace

std::unique_ptr<Granularity> make_block(const Config& config) {
    const index_t rows = config.integer("rows", 1, at_least(1), "outputs of a block");
    const index_t columns = config.integer("columns", 8, at_least(1), "inputs of a block, in channels for images");
    return std::make_unique<Block>(text("blocks of ", rows, "x", columns), rows, columns, read_group_norm(config));
}

std::unique_ptr<Granularity> make_row(const Config& config) {
    return std::make_unique<Block>("rows", 1, 0, read_group_norm(config));
}

std::unique_ptr<Granularity> make_column(const Config& config) {
    return std::make_unique<Block>("columns", 0, 1, read_group_norm(config));
}

}  // namespace pruntrain
