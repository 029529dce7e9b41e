#include <doctest/doctest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <numeric>

#include "../support/layer_bench.hpp"
#include "pruntrain/math/sparse_plan.hpp"
#include "pruntrain/model/weight_matrix.hpp"

using namespace pruntrain;

namespace {

/// A pattern with rows of very different length: row r keeps about `density` * 2r/rows of its columns, row 0 none;
/// column 1 has no entries.
Pattern skewed_pattern(index_t rows, index_t columns, double density) {
    const RandomStream random(1, Purpose::test, 77);
    Pattern pattern(rows, columns);
    std::vector<std::uint8_t> keep;
    for (index_t row = 0; row < rows; ++row)
        for (index_t column = 0; column < columns; ++column) {
            const double share = density * 2 * static_cast<double>(row) / static_cast<double>(rows);
            keep.push_back(column != 1 && random.uniform(keep.size()) < share);
        }
    pattern.keep(keep);
    return pattern;
}

std::vector<std::uint32_t> offsets_of(index_t columns, index_t stride) {
    std::vector<std::uint32_t> offsets;
    for (index_t j = 0; j < columns; ++j) offsets.push_back(static_cast<std::uint32_t>(j * stride));
    return offsets;
}

/// Where lane l of row i lies.
std::size_t place(const BlockLayout& layout, index_t i, index_t l) {
    return static_cast<std::size_t>(i * layout.row_stride + l / layout.piece * layout.piece_stride + l % layout.piece);
}

/// Blocks of one piece, and of several that lie apart.
std::vector<BlockLayout> layouts() {
    std::vector<BlockLayout> all;
    for (index_t lanes = 8; lanes <= 136; lanes += 8) {
        all.push_back({lanes, lanes, lanes, lanes, lanes});
        all.push_back({lanes, 8, 24, lanes * 3 + 8, lanes * 3});
        if (lanes % 16 == 0) all.push_back({lanes, 16, 64, lanes * 4, 0});
    }
    return all;
}

/// Calls work() once for each instruction set that the kernels are compiled for and this processor has.
template <class Work>
void on_every_instruction_set(Work work) {
    const auto choose = [](std::int64_t targets) {
        hwy::SetSupportedTargetsForTest(targets);  // 0: all
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    };
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
        CAPTURE(hwy::TargetName(target));
        choose(target);
        work();
    }
    choose(0);
}

void check_products_and_gradients() {
    const index_t rows = 23, columns = 41;
    for (const double density : {0.02, 0.2, 0.5}) {
        const Pattern pattern = skewed_pattern(rows, columns, density);
        const auto positions = pattern.dense_positions();
        const auto values = whole_numbers(pattern.kept(), 1);
        for (const auto& layout : layouts())
            for (const index_t panel : {index_t{1}, index_t{7}, columns}) {
                CAPTURE(density);
                CAPTURE(layout.lanes);
                CAPTURE(layout.piece);
                CAPTURE(panel);
                const SparseEntries entries = plan_rows(pattern, offsets_of(columns, layout.lanes), panel);
                const auto x = whole_numbers(columns * layout.lanes, 2), bias = whole_numbers(rows, 3);
                const auto before = whole_numbers(rows * layout.row_stride + 64, 4);
                for (const bool with_bias : {false, true}) {
                    auto y = before, expected = before;
                    for (index_t i = 0; i < rows; ++i)
                        for (index_t l = 0; l < layout.lanes; ++l)
                            expected[place(layout, i, l)] = with_bias ? bias[i] : real{0};
                    for (std::size_t k = 0; k < positions.size(); ++k)
                        for (index_t l = 0; l < layout.lanes; ++l)
                            expected[place(layout, positions[k] / columns, l)] +=
                                values[k] * x[positions[k] % columns * layout.lanes + l];
                    sparse_multiply(entries, values.data(), x.data(), with_bias ? bias.data() : nullptr, layout,
                                    y.data());
                    REQUIRE(y == expected);  // also: nothing between the pieces is touched
                }
                for (const bool accumulate : {false, true}) {
                    auto g = whole_numbers(pattern.kept(), 5), expected = g;
                    auto sums = whole_numbers(rows, 6), expected_sums = sums;
                    for (index_t i = 0; i < rows; ++i) {
                        if (!accumulate) expected_sums[i] = 0;
                        for (index_t l = 0; l < layout.lanes; ++l) expected_sums[i] += before[place(layout, i, l)];
                    }
                    for (std::size_t k = 0; k < positions.size(); ++k) {
                        if (!accumulate) expected[k] = 0;
                        for (index_t l = 0; l < layout.lanes; ++l)
                            expected[k] += before[place(layout, positions[k] / columns, l)] *
                                           x[positions[k] % columns * layout.lanes + l];
                    }
                    sparse_gradient(entries, x.data(), layout, before.data(), accumulate, g.data(), sums.data());
                    REQUIRE(g == expected);
                    REQUIRE(sums == expected_sums);
                    sparse_gradient(entries, x.data(), layout, before.data(), false, g.data(), nullptr);
                }
            }
    }
}

}  // namespace

TEST_CASE("sparse product and gradient of a block equal their definition, to the bit on whole numbers") {
    on_every_instruction_set(check_products_and_gradients);
}

TEST_CASE("sparse product of real numbers: within the rounding of a sum in any order") {
    const index_t rows = 40, columns = 300, lanes = 64;
    const Pattern pattern = skewed_pattern(rows, columns, 0.3);
    const auto positions = pattern.dense_positions();
    const auto values = random_numbers(pattern.kept(), 1), x = random_numbers(columns * lanes, 2);
    std::vector<real> y(static_cast<std::size_t>(rows * lanes));
    std::vector<double> exact(y.size(), 0.0), magnitude(y.size(), 0.0);
    for (std::size_t k = 0; k < positions.size(); ++k)
        for (index_t l = 0; l < lanes; ++l) {
            const double term = static_cast<double>(values[k]) * x[positions[k] % columns * lanes + l];
            exact[positions[k] / columns * lanes + l] += term;
            magnitude[positions[k] / columns * lanes + l] += std::abs(term);
        }
    sparse_multiply(plan_rows(pattern, offsets_of(columns, lanes), 64), values.data(), x.data(), nullptr,
                    {lanes, lanes, lanes, lanes, lanes}, y.data());
    // n additions lose at most n unit roundoffs of the sum of magnitudes (Higham 2002, section 4.2)
    const double bound = static_cast<double>(columns) * std::numeric_limits<real>::epsilon() / 2;
    for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(std::abs(y[i] - exact[i]) <= bound * magnitude[i]);
}

TEST_CASE("the columns of a pattern as rows: every entry once, with its value") {
    const index_t rows = 19, columns = 30;
    const Pattern pattern = skewed_pattern(rows, columns, 0.4);
    const auto values = random_numbers(pattern.kept(), 1);
    std::vector<real> dense(static_cast<std::size_t>(rows * columns), 0);
    pattern.scatter(values, dense.data());
    // three columns share a row of the result; every fifth column is left out
    std::vector<std::int32_t> row_of_column;
    std::vector<std::uint32_t> offsets;
    for (index_t j = 0; j < columns; ++j) {
        row_of_column.push_back(j % 5 == 4 ? -1 : static_cast<std::int32_t>(j / 3));
        offsets.push_back(static_cast<std::uint32_t>(j % 3));
    }
    for (const index_t panel : {index_t{1}, index_t{4}, rows}) {
        TransposedEntries plan = plan_columns(pattern, columns / 3, row_of_column, offsets, 10, panel);
        plan.refresh(values);
        std::vector<real> found(dense.size(), 0);
        std::size_t k = 0, segment = 0;
        index_t begun = 0;
        for (const auto& run : plan.entries.runs)
            for (std::uint32_t s = 0; s < run.segments; ++s, ++segment) {
                begun += run.begins_rows;
                REQUIRE(plan.entries.segments[segment].first == k);
                for (std::uint32_t n = 0; n < run.length; ++n, ++k) {
                    const std::uint32_t i = plan.entries.offsets[k] / 10, tap = plan.entries.offsets[k] % 10;
                    found[i * columns + plan.entries.segments[segment].row * 3 + tap] = plan.values[k];
                }
            }
        CHECK(begun == columns / 3);
        for (index_t j = 4; j < columns; j += 5)
            for (index_t i = 0; i < rows; ++i) dense[i * columns + j] = 0;
        CHECK(found == dense);
    }
}

TEST_CASE("panels: most of the first-level cache, wider for few entries, alike in size") {
    CHECK(panel_inputs(10, 0.5, 256) == 10);
    const index_t narrow = panel_inputs(100000, 0.5, 256), wide = panel_inputs(100000, 0.01, 256);
    CHECK(narrow < wide);
    CHECK(panel_inputs(narrow + 1, 0.5, 256) == (narrow + 2) / 2);
    CHECK(panel_inputs(100, 0.5, index_t{1} << 40) == 1);
}

namespace {

/// A layer with a pattern in which whole rows and columns are missing.
LayerBench pruned_layer(const std::string& yaml, const Shape& input, const Tiling& tiling, double density) {
    LayerBench bench(yaml, input, tiling);
    const Pattern& full = bench.layer->parameters()[0]->pattern;
    std::vector<std::uint8_t> flags;
    if (density < 1) {
        const Pattern pattern = skewed_pattern(full.rows(), full.columns(), density);
        flags.assign(static_cast<std::size_t>(full.dense_size()), 0);
        for (const index_t position : pattern.dense_positions()) flags[position] = 1;
    }
    std::vector<std::vector<std::uint8_t>> keep(bench.arena->parameters().size());
    keep.front() = flags;  // the weight is the layer's first parameter
    if (!flags.empty()) bench.arena->keep(keep);
    const auto values = whole_numbers(bench.arena->size(), 1);
    std::copy(values.begin(), values.end(), bench.arena->values().begin());
    bench.x = whole_numbers(static_cast<index_t>(bench.x.size()), 2);
    bench.dy = whole_numbers(static_cast<index_t>(bench.dy.size()), 3);
    return bench;
}

void check_layers() {
    struct Sample {
        const char* yaml;
        Shape input;
    };
    const std::vector<Sample> samples{
        {"{layer: dense, units: 37}", {150, 1, 1}},
        {"{layer: dense, units: 5, bias: false}", {300, 1, 1}},
        {"{layer: conv2d, channels: 6, kernel: 3, padding: 1}", {5, 9, 8}},
        {"{layer: conv2d, channels: 4, kernel: 3, padding: 2, bias: false}", {3, 5, 7}},
        {"{layer: conv2d, channels: 3, kernel: 5}", {2, 9, 12}},
        {"{layer: conv2d, channels: 4, kernel: 3, stride: 2, padding: 1}", {3, 8, 9}},
        {"{layer: conv2d, channels: 4, kernel: 5, stride: 2}", {3, 8, 10}},
        {"{layer: conv2d, channels: 4, kernel: 1, stride: 2}", {4, 5, 6}},
        {"{layer: conv2d, channels: 4, kernel: 2, stride: 3, padding: 1}", {4, 8, 7}},
        {"{layer: conv2d, channels: 4, kernel: 7, padding: 3, stride: 4}", {2, 9, 9}},
    };
    for (const auto& [yaml, input] : samples)
        for (const Tiling tiling : {Tiling{20, 8}, Tiling{16, 16}, Tiling{33, 32}, Tiling{64, 64}, Tiling{0, 16}})
            for (const double density : {1.0, 0.3, 0.02}) {
                CAPTURE(yaml);
                CAPTURE(tiling.width);
                CAPTURE(density);
                LayerBench dense = pruned_layer(yaml, input, tiling, density);
                LayerBench sparse = pruned_layer(yaml, input, tiling, density);
                sparse.layer->weight_matrix()->execute(Execution::sparse);
                for (LayerBench* bench : {&dense, &sparse})
                    for (int step = 0; step < 2; ++step) {  // the second uses the plan of the first
                        bench->arena->values()[0] += 1;
                        bench->forward();
                        bench->backward();
                    }
                REQUIRE(sparse.y == dense.y);
                REQUIRE(sparse.dx == dense.dx);
                REQUIRE(std::ranges::equal(sparse.arena->gradients(), dense.arena->gradients()));
                // weights removed between two steps
                std::vector<std::vector<std::uint8_t>> keep(dense.arena->parameters().size());
                for (index_t k = 0; k < dense.layer->parameters()[0]->pattern.kept(); ++k)
                    keep.front().push_back(k % 3 != 0);
                for (LayerBench* bench : {&dense, &sparse}) {
                    bench->arena->keep(keep);
                    bench->forward();
                    bench->backward();
                }
                REQUIRE(sparse.y == dense.y);
                REQUIRE(sparse.dx == dense.dx);
                REQUIRE(std::ranges::equal(sparse.arena->gradients(), dense.arena->gradients()));
                // as many weights at other places: nothing that was made for the pattern before is used
                const Pattern& now = dense.layer->parameters()[0]->pattern;
                std::vector<std::uint8_t> flags(static_cast<std::size_t>(now.dense_size()), 0);
                for (const index_t position : now.dense_positions())
                    flags[flags.size() - 1 - static_cast<std::size_t>(position)] = 1;
                std::vector<std::optional<Pattern>> moved(keep.size());
                moved.front() = Pattern(now.rows(), now.columns());
                moved.front()->keep(flags);
                LayerBench fresh = pruned_layer(yaml, input, tiling, 1.0);
                for (LayerBench* bench : {&dense, &sparse, &fresh}) {
                    bench->arena->set_patterns(moved);
                    std::ranges::fill(bench->arena->values(), real{1});
                    bench->forward();
                    bench->backward();
                }
                for (const LayerBench* bench : {&dense, &sparse}) {
                    REQUIRE(bench->y == fresh.y);
                    REQUIRE(bench->dx == fresh.dx);
                    REQUIRE(std::ranges::equal(bench->arena->gradients(), fresh.arena->gradients()));
                }
            }
}

}  // namespace

TEST_CASE("a layer computes the same dense and sparse, to the bit on whole numbers") {
    on_every_instruction_set(check_layers);
}
