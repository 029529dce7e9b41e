#include "pruntrain/app/run_status.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "pruntrain/app/terminal.hpp"
#include "pruntrain/base/error.hpp"
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

/// Epochs of the whole run, with all rounds of rewinding.
/// @param steps_per_epoch  0: not known yet
double epochs_of(const Config& config, double steps_per_epoch) {
    const double epochs = config.section("train").number("epochs", 0.0, {}, "");
    if (!config.has("prune")) return epochs;
    const Config schedule = config.section("prune").section("schedule");
    if (schedule.word("type", "", "") != "rewinding") return epochs;
    const double to = schedule.has("to_step") ? schedule.number("to_step", 0.0, {}, "") / std::max(1.0, steps_per_epoch)
                                              : schedule.number("to_epoch", 0.0, {}, "");
    return epochs + schedule.number("rounds", 0.0, {}, "") * (epochs - to);
}

}  // namespace

CsvTable::CsvTable(const fs::path& path) {
    const std::string content = content_of(path);
    std::istringstream lines(content.substr(0, content.rfind('\n') + 1));
    std::string line;
    if (std::getline(lines, line)) names_ = fields_of(line);
    while (std::getline(lines, line)) {
        rows_.push_back(fields_of(line));
        if (rows_.back().size() != names_.size()) rows_.pop_back();
    }
}

std::string CsvTable::word(std::size_t row, std::string_view column) const {
    const auto found = std::find(names_.begin(), names_.end(), column);
    return found == names_.end() ? "" : rows_[row][found - names_.begin()];
}

double CsvTable::number(std::size_t row, std::string_view column) const {
    const std::string digits = word(row, column);
    double value = NAN;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return std::isfinite(value) ? value : NAN;
}

RunStatus::RunStatus(const fs::path& folder)
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
    // The summary of an earlier end does not count if the run was resumed with more epochs.
    done = known("steps") >= std::max(step, std::round(epochs * steps_per_epoch));
    if (done) test_accuracy = known("test_accuracy");
    struct stat status {};
    if (::stat((folder / "history.csv").c_str(), &status) == 0) changed = status.st_mtime;
}

double RunStatus::seconds_left() const {
    const bool first = history.size() < 2;
    const double epochs_done = last("epoch") - (first ? 0 : history.number(history.size() - 2, "epoch"));
    const double seconds = last("seconds") - (first ? 0 : history.number(history.size() - 2, "seconds"));
    return std::max(0.0, epochs - last("epoch")) * seconds / epochs_done;
}

}  // namespace pruntrain
