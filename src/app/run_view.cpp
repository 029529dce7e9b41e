#include "pruntrain/app/run_view.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "pruntrain/app/terminal.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

/// A whole number, with separators of thousands.
std::string count_text(double value) { return std::isnan(value) ? "?" : grouped(std::llround(value)); }

using Lines = std::vector<std::string>;

void add_head(Lines& lines, const RunStatus& run, index_t columns) {
    const double epoch = run.history.size() > 0 ? run.last("epoch") : 0;
    std::string state = run.done ? "done" : run.history.size() > 0 ? "" : "no row of the history yet";
    if (!std::isnan(run.test_accuracy)) state += text(", test accuracy ", fixed(run.test_accuracy, 4));
    if (state.empty()) {
        char clock[16] = "";
        std::strftime(clock, sizeof clock, "%H:%M:%S", std::localtime(&run.changed));
        state = text("at ", clock, " about ", duration_text(run.seconds_left()), " left");
    }
    const double part = run.epochs > 0 ? epoch / run.epochs : 1;
    lines.push_back(
        text(run.name, "   epoch ", fixed(epoch, 2), " of ", exact(run.epochs), "   step ", count_text(run.step)));
    lines.push_back(
        text("[", bar(part, std::max<index_t>(8, columns / 2 - 8)), "] ", fixed(100 * part, 0), " %   ", state));
    if (run.history.size() == 0) return;
    std::string metrics;
    const auto add = [&](const char* label, double value, int digits) {
        if (!std::isnan(value)) metrics += text(metrics.empty() ? "" : "   ", label, " ", fixed(value, digits));
    };
    add("validation accuracy", run.last("validation_accuracy"), 4);
    add("loss", run.last("validation_loss"), 4);
    add("train loss", run.last("train_loss"), 4);
    add("sparsity", run.last("sparsity"), 4);
    lines.push_back(metrics);
    lines.push_back(text(count_text(run.last("samples_per_s")), " samples/s   ", count_text(run.last("values_reduced")),
                         " values summed a step   ", duration_text(run.last("seconds")), " so far"));
}

/// A column of the history over the epochs.
std::vector<Point> points_of(const RunStatus& run, std::string_view column) {
    std::vector<Point> all;
    for (std::size_t row = 0; row < run.history.size(); ++row)
        all.push_back({run.history.number(row, "epoch"), run.history.number(row, column)});
    return all;
}

/// @param low, high  limits of the vertical axis; NaN: those of the points
void add_plot(Lines& lines, const RunStatus& run, const char* column, const std::string& title, index_t rows,
              index_t columns, double low = NAN, double high = NAN) {
    const std::vector<Point> points = points_of(run, column);
    std::vector<double> known;
    for (const Point& point : points)
        if (!std::isnan(point.y)) known.push_back(point.y);
    if (known.empty()) return;
    if (std::isnan(low)) low = *std::min_element(known.begin(), known.end());
    if (std::isnan(high)) high = *std::max_element(known.begin(), known.end());
    constexpr index_t margin = 9;  // "   0.1234 "
    Plot plot(std::max<index_t>(4, columns - margin), rows, {0, low}, {std::max(run.epochs, points.back().x), high});
    plot.draw(points);
    lines.push_back("");
    lines.push_back(title);
    for (index_t row = 0; row < rows; ++row) {
        const std::string label = row == 0 ? fixed(high, 4) : row == rows - 1 ? fixed(low, 4) : "";
        lines.push_back(std::string(margin - 1 - std::min<std::size_t>(label.size(), margin - 1), ' ') + label + " " +
                        plot.line(row));
    }
}

/// The densities of the newest evaluation.
/// @param most  lines that there is room for
void add_layers(Lines& lines, const CsvTable& layers, index_t most, index_t columns) {
    if (layers.size() == 0 || most < 3) return;
    const double newest = layers.number(layers.size() - 1, "step");
    std::vector<std::size_t> rows;
    index_t longest = 0;
    for (std::size_t row = 0; row < layers.size(); ++row) {
        if (layers.number(row, "step") != newest) continue;
        rows.push_back(row);
        longest = std::max(longest, display_width(printable(layers.word(row, "tensor"))));
    }
    Lines drawn;
    for (const std::size_t row : rows) {
        const double kept = layers.number(row, "kept"), of = layers.number(row, "of");
        constexpr index_t number_columns = 50;
        drawn.push_back(text(padded(printable(layers.word(row, "tensor")), longest), " ",
                             bar(kept / of, std::clamp<index_t>(columns - longest - number_columns, 8, 40)), " ",
                             fixed(kept / of, 4), "  ", count_text(kept), " of ", count_text(of), "  ",
                             layers.word(row, "execution")));
    }
    lines.push_back("");
    lines.push_back("density of layers");
    most -= 2;
    const index_t more = std::ssize(drawn) - most;
    if (more > 0) {
        drawn.resize(most - 1);
        drawn.push_back(text("... and ", more + 1, " more"));
    }
    lines.insert(lines.end(), drawn.begin(), drawn.end());
}

}  // namespace

std::string run_view(const RunStatus& run, const ScreenSize& size) {
    Lines lines;
    add_head(lines, run, size.columns);
    const std::size_t before = lines.size();
    add_plot(lines, run, "validation_accuracy", "validation accuracy", 8, size.columns);
    if (lines.size() == before) add_plot(lines, run, "validation_loss", "validation loss", 8, size.columns);
    if (lines.size() == before) add_plot(lines, run, "train_loss", "train loss", 8, size.columns);
    if (run.prunes) add_plot(lines, run, "sparsity", "sparsity", 4, size.columns, 0, 1);
    add_layers(lines, run.layers, size.rows - std::ssize(lines), size.columns);
    lines.resize(std::min<index_t>(std::ssize(lines), size.rows));
    std::string all;
    for (const auto& line : lines) all += clipped(line, size.columns) + "\n";
    return all;
}

}  // namespace pruntrain
