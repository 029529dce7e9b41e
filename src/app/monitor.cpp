#include "pruntrain/app/monitor.hpp"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"

namespace pruntrain {

namespace fs = std::filesystem;

namespace {

/// Empty if there is no such file.
std::string content_of(const fs::path& path) {
    std::ostringstream all;
    all << std::ifstream(path, std::ios::binary).rdbuf();
    return all.str();
}

std::vector<std::string> fields_of(const std::string& line) {
    std::vector<std::string> fields{""};
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') fields.back() += line[i++];
        else if (line[i] == '"') quoted = !quoted;
        else if (line[i] == ',' && !quoted) fields.emplace_back();
        else fields.back() += line[i];
    }
    return fields;
}

/// A file of the run with column names, as far as whole lines are there.
class Table {
   public:
    explicit Table(const fs::path& path) {
        const std::string content = content_of(path);
        std::istringstream lines(content.substr(0, content.rfind('\n') + 1));
        std::string line;
        if (std::getline(lines, line)) names_ = fields_of(line);
        while (std::getline(lines, line)) {
            rows_.push_back(fields_of(line));
            if (rows_.back().size() != names_.size()) rows_.pop_back();
        }
    }

    std::size_t size() const { return rows_.size(); }
    std::string word(std::size_t row, std::string_view column) const {
        const auto place = std::find(names_.begin(), names_.end(), column);
        return place == names_.end() ? "" : rows_[row][static_cast<std::size_t>(place - names_.begin())];
    }
    /// NaN: unknown.
    double number(std::size_t row, std::string_view column) const {
        const std::string digits = word(row, column);
        double value = NAN;
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return std::isfinite(value) ? value : NAN;
    }

   private:
    std::vector<std::string> names_;
    std::vector<std::vector<std::string>> rows_;
};

/// Nothing of it moves the cursor.
std::string printable(std::string name) {
    for (std::size_t i = 0; i < name.size(); ++i) {
        const auto letter = static_cast<unsigned char>(name[i]);
        const bool control = letter < ' ' || letter == 0x7f;
        const bool high_control =
            letter == 0xc2 && i + 1 < name.size() && static_cast<unsigned char>(name[i + 1]) < 0xa0;
        if (control || high_control) name[i] = '?';
        if (high_control) name.erase(i + 1, 1);
    }
    return name;
}

/// UTF-8 letters: all bytes but those that go on with one.
index_t letters_of(const std::string& line) {
    return std::count_if(line.begin(), line.end(), [](char byte) { return (byte & 0xc0) != 0x80; });
}

std::string clipped(const std::string& line, index_t columns) {
    std::size_t end = 0;
    for (index_t letters = 0; end < line.size(); ++end)
        if ((line[end] & 0xc0) != 0x80 && ++letters > columns) break;
    return line.substr(0, end);
}

std::string padded(const std::string& word, index_t columns) {
    return word + std::string(static_cast<std::size_t>(std::max<index_t>(0, columns - letters_of(word))), ' ');
}

/// In eighths of a letter.
std::string bar(double part, index_t columns) {
    const index_t eighths =
        std::llround(std::clamp(std::isnan(part) ? 0 : part, 0.0, 1.0) * 8 * static_cast<double>(columns));
    std::string drawn;
    for (index_t i = 0; i < eighths / 8; ++i) drawn += "█";
    static constexpr std::array parts{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    return padded(drawn + parts[static_cast<std::size_t>(eighths % 8)], columns);
}

/// A whole number, with thousands apart.
std::string count_text(double value) { return std::isnan(value) ? "?" : grouped(std::llround(value)); }

struct Point {
    double x, y;
};

/// A line through points in braille letters, of 2 x 4 dots each; unknown points leave a gap.
class Plot {
   public:
    Plot(index_t columns, index_t rows, Point low, Point high)
        : columns_(columns), rows_(rows), low_(low), high_(high), letters_(static_cast<std::size_t>(columns * rows)) {}

    void draw(const std::vector<Point>& points) {
        for (std::size_t i = 0; i < points.size(); ++i) {
            const Point &from = points[i > 0 && !std::isnan(points[i - 1].x + points[i - 1].y) ? i - 1 : i],
                        &to = points[i];
            if (std::isnan(to.x) || std::isnan(to.y)) continue;
            const index_t steps = 4 * (columns_ + rows_);  // none is longer than a dot
            for (index_t step = 0; step <= steps; ++step) {
                const double part = static_cast<double>(step) / static_cast<double>(steps);
                dot(std::lerp(from.x, to.x, part), std::lerp(from.y, to.y, part));
            }
        }
    }

    std::string line(index_t row) const {
        std::string drawn;
        for (index_t column = 0; column < columns_; ++column) {
            const unsigned dots = letters_[static_cast<std::size_t>(row * columns_ + column)];
            // U+2800 and the dots, in UTF-8
            drawn += {'\xe2', static_cast<char>(0xa0 | dots >> 6), static_cast<char>(0x80 | (dots & 0x3f))};
        }
        return drawn;
    }

   private:
    void dot(double x, double y) {
        const auto place = [](double value, double low, double high, index_t dots) {
            const double part = high > low ? (value - low) / (high - low) : 0;
            return std::llround(std::clamp(part, 0.0, 1.0) * static_cast<double>(dots - 1));
        };
        const index_t column = place(x, low_.x, high_.x, 2 * columns_);
        const index_t row = 4 * rows_ - 1 - place(y, low_.y, high_.y, 4 * rows_);
        static constexpr unsigned bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
        letters_[static_cast<std::size_t>(row / 4 * columns_ + column / 2)] |= bits[row % 4][column % 2];
    }

    index_t columns_, rows_;
    Point low_, high_;
    std::vector<unsigned> letters_;
};

/// Epochs of the whole run. @param steps_per_epoch  0: not known yet
double epochs_of(const Config& config, double steps_per_epoch) {
    const double epochs = config.section("train").number("epochs", 0.0, {}, "");
    if (!config.has("prune")) return epochs;
    const Config schedule = config.section("prune").section("schedule");
    if (schedule.word("type", "", "") != "rewinding") return epochs;
    const double to = schedule.has("to_step") ? schedule.number("to_step", 0.0, {}, "") / std::max(1.0, steps_per_epoch)
                                              : schedule.number("to_epoch", 0.0, {}, "");
    return epochs + schedule.number("rounds", 0.0, {}, "") * (epochs - to);
}

/// All that a drawing shows.
struct WatchedRun {
    explicit WatchedRun(const fs::path& folder)
        : name(printable(fs::absolute(folder / ".").lexically_normal().parent_path().filename().string())),
          history(folder / "history.csv"),
          layers(folder / "layers.csv") {
        const std::string yaml = content_of(folder / "config.yaml");
        if (yaml.empty())
            input_error(folder.string(), " is no folder of a run: expected config.yaml in it, as in runs/NAME");
        const Config config = Config::parse(yaml, (folder / "config.yaml").string(), {});
        prunes = config.has("prune");
        if (history.size() > 0) {
            step = last("step");
            steps_per_epoch = step / last("epoch");
        }
        epochs = epochs_of(config, steps_per_epoch);
        const auto summary = nlohmann::json::parse(content_of(folder / "summary.json"), nullptr, false);
        const auto known = [&](const char* key) {
            return summary.is_object() && summary.contains(key) && summary[key].is_number() ? summary[key].get<double>()
                                                                                            : NAN;
        };
        // One of an earlier end of the run, which now goes on for more epochs, is none.
        done = known("steps") >= std::max(step, std::round(epochs * steps_per_epoch));
        if (done) test_accuracy = known("test_accuracy");
        struct stat status {};
        if (::stat((folder / "history.csv").c_str(), &status) == 0) changed = status.st_mtime;
    }

    double last(std::string_view column) const { return history.number(history.size() - 1, column); }
    std::vector<Point> points(std::string_view column) const {
        std::vector<Point> all;
        for (std::size_t row = 0; row < history.size(); ++row)
            all.push_back({history.number(row, "epoch"), history.number(row, column)});
        return all;
    }
    /// By the pace of the newest row.
    double seconds_left() const {
        const bool first = history.size() < 2;
        const double epochs_done = last("epoch") - (first ? 0 : history.number(history.size() - 2, "epoch"));
        const double seconds = last("seconds") - (first ? 0 : history.number(history.size() - 2, "seconds"));
        return std::max(0.0, epochs - last("epoch")) * seconds / epochs_done;
    }

    std::string name;
    Table history, layers;
    bool prunes = false, done = false;
    double epochs = 0, step = 0, steps_per_epoch = 0;
    double test_accuracy = NAN;
    std::time_t changed = 0;
};

/// Of letters; as a terminal of no size, or a file.
struct ScreenSize {
    index_t columns = 80;
    index_t rows = 1000;
};

using Lines = std::vector<std::string>;

void add_head(Lines& lines, const WatchedRun& run, index_t columns) {
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
    std::string numbers;
    const auto add = [&](const char* label, double value, int digits) {
        if (!std::isnan(value)) numbers += text(numbers.empty() ? "" : "   ", label, " ", fixed(value, digits));
    };
    add("validation accuracy", run.last("validation_accuracy"), 4);
    add("loss", run.last("validation_loss"), 4);
    add("train loss", run.last("train_loss"), 4);
    add("sparsity", run.last("sparsity"), 4);
    lines.push_back(numbers);
    lines.push_back(text(count_text(run.last("samples_per_s")), " samples/s   ", count_text(run.last("values_reduced")),
                         " values summed a step   ", duration_text(run.last("seconds")), " so far"));
}

/// @param low, high  of the numbers; NaN: theirs
void add_plot(Lines& lines, const WatchedRun& run, const char* column, const std::string& title, index_t rows,
              index_t columns, double low = NAN, double high = NAN) {
    const std::vector<Point> points = run.points(column);
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

/// Those of the newest row. @param most  lines
void add_layers(Lines& lines, const Table& layers, index_t most, index_t columns) {
    if (layers.size() == 0 || most < 3) return;
    const double newest = layers.number(layers.size() - 1, "step");
    std::vector<std::size_t> rows;
    index_t longest = 0;
    for (std::size_t row = 0; row < layers.size(); ++row) {
        if (layers.number(row, "step") != newest) continue;
        rows.push_back(row);
        longest = std::max(longest, letters_of(printable(layers.word(row, "tensor"))));
    }
    Lines drawn;
    for (const std::size_t row : rows) {
        const double kept = layers.number(row, "kept"), of = layers.number(row, "of");
        constexpr index_t of_numbers = 50;
        drawn.push_back(text(padded(printable(layers.word(row, "tensor")), longest), " ",
                             bar(kept / of, std::clamp<index_t>(columns - longest - of_numbers, 8, 40)), " ",
                             fixed(kept / of, 4), "  ", count_text(kept), " of ", count_text(of), "  ",
                             layers.word(row, "execution")));
    }
    lines.push_back("");
    lines.push_back("density of layers");
    most -= 2;
    const index_t more = std::ssize(drawn) - most;
    if (more > 0) {
        drawn.resize(static_cast<std::size_t>(most - 1));
        drawn.push_back(text("... and ", more + 1, " more"));
    }
    lines.insert(lines.end(), drawn.begin(), drawn.end());
}

std::string drawing_of(const WatchedRun& run, const ScreenSize& size) {
    Lines lines;
    add_head(lines, run, size.columns);
    const std::size_t before = lines.size();
    add_plot(lines, run, "validation_accuracy", "validation accuracy", 8, size.columns);
    if (lines.size() == before) add_plot(lines, run, "validation_loss", "validation loss", 8, size.columns);
    if (lines.size() == before) add_plot(lines, run, "train_loss", "train loss", 8, size.columns);
    if (run.prunes) add_plot(lines, run, "sparsity", "sparsity", 4, size.columns, 0, 1);
    add_layers(lines, run.layers, size.rows - std::ssize(lines), size.columns);
    lines.resize(static_cast<std::size_t>(std::min<index_t>(std::ssize(lines), size.rows)));
    std::string all;
    for (const auto& line : lines) all += clipped(line, size.columns) + "\n";
    return all;
}

ScreenSize screen_size() {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return {};
    return {window.ws_col, std::max<index_t>(1, window.ws_row - 1)};  // the last line is the cursor's
}

volatile std::sig_atomic_t stopped = 0;

}  // namespace

void watch_run(const fs::path& folder, bool once) {
    once = once || !isatty(STDOUT_FILENO);
    std::signal(SIGINT, [](int) { stopped = 1; });
    std::string shown;
    while (!stopped) {
        const WatchedRun run(folder);
        const std::string drawing = drawing_of(run, screen_size());
        constexpr const char *clear = "\033[2J", *home = "\033[H";
        if (drawing != shown) std::cout << (once ? "" : text(clear, home)) << drawing << std::flush;
        shown = drawing;
        if (once || run.done) return;
        for (int tenths = 0; tenths < 10 && !stopped; ++tenths)
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

}  // namespace pruntrain
