// The state of a run, read from the files in its folder while it trains or after it.
#pragma once

#include <cmath>
#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pruntrain {

/// A CSV file with column names. A last line that is not complete yet is ignored.
class CsvTable {
   public:
    /// Empty if there is no such file.
    explicit CsvTable(const std::filesystem::path& path);

    std::size_t size() const { return rows_.size(); }
    /// Empty if there is no such column.
    std::string word(std::size_t row, std::string_view column) const;
    /// NaN if it is unknown.
    double number(std::size_t row, std::string_view column) const;

   private:
    std::vector<std::string> names_;
    std::vector<std::vector<std::string>> rows_;
};

struct RunStatus {
    /// @throws InputError if the folder is not that of a run
    explicit RunStatus(const std::filesystem::path& folder);

    /// Of the newest row of the history, which must have one.
    double last(std::string_view column) const { return history.number(history.size() - 1, column); }
    /// Extrapolated from the newest row.
    double seconds_left() const;

    std::string name;
    CsvTable history, layers;
    bool prunes = false, done = false;
    double epochs = 0, step = 0, steps_per_epoch = 0;
    double test_accuracy = NAN;
    std::time_t changed = 0;  ///< when the history was written last
};

}  // namespace pruntrain
