#include <doctest/doctest.h>

#include <filesystem>

#include "../support/temporary_folder.hpp"
#include "../support/training.hpp"
#include "pruntrain/train/checkpointer.hpp"

using namespace pruntrain;
using namespace pruntrain::test;
namespace fs = std::filesystem;

namespace {

struct Log {
    explicit Log(bool stops_on_failure, bool is_root = true)
        : run_folder(folder.path(), "test", ExistingRun::refuse, Communicator::world()),
          progress(ProgressMode::lines, 1, training.experiment.length, true),
          log(run_folder, is_root, stops_on_failure, progress) {}

    HistoryRow row(index_t step) {
        HistoryRow made;
        made.step = static_cast<double>(step);
        made.train_loss = 1 / made.step;
        made.layers = training.experiment.model.execution().layers();
        return made;
    }
    void append(index_t step) { log.append(row(step), training.network()); }
    std::string history() const { return content_of(run_folder.path() / "history.csv"); }
    std::string layers() const { return content_of(run_folder.path() / "layers.csv"); }

    TemporaryFolder folder;
    Training training;
    RunFolder run_folder;
    Progress progress;
    HistoryLog log;
    PrintedText printed;
};

/// What both files are after a run without failures.
std::pair<std::string, std::string> expected_files(const std::vector<index_t>& steps) {
    Log log(true);
    for (const index_t step : steps)
        log.log.replace([&] {
            History rows = log.log.rows();
            rows.push_back(log.row(step));
            return rows;
        }());
    log.log.write(log.training.network());
    return {log.history(), log.layers()};
}

}  // namespace

TEST_CASE("history log: rows that are appended one by one make the files that are written at once") {
    Log log(true);
    log.log.write(log.training.network());
    for (const index_t step : {3, 6, 7}) {
        CHECK_FALSE(log.log.has_row_of(step));
        log.append(step);
        CHECK(log.log.has_row_of(step));
    }
    CHECK(log.log.rows().size() == 3);
    CHECK(std::pair(log.history(), log.layers()) == expected_files({3, 6, 7}));
    CHECK(std::ranges::count(log.layers(), '\n') == 1 + 3 * 2);  // two layers with weights
}

TEST_CASE("history log: with go_on the next row repairs files that could not be written") {
    Log log(false);
    log.log.write(log.training.network());
    log.append(3);
    const fs::path away = log.folder / "away";
    fs::rename(log.run_folder.path(), away);
    log.append(6);
    const std::string warning = log.printed.take();
    CHECK(warning.starts_with("warning: cannot write "));
    CHECK(log.log.rows().size() == 2);
    log.append(7);  // still away
    CHECK(log.printed.take().starts_with("warning: cannot write "));
    fs::rename(away, log.run_folder.path());
    put_content(log.run_folder.path() / "history.csv", log.history() + "6,0.");  // a part of a row, as of a full disk
    log.append(8);
    CHECK(log.printed.take().empty());
    CHECK(std::pair(log.history(), log.layers()) == expected_files({3, 6, 7, 8}));
    log.append(9);
    CHECK(std::pair(log.history(), log.layers()) == expected_files({3, 6, 7, 8, 9}));
    put_content(log.run_folder.path() / "history.csv", "");  // the repair is over: rows are appended, no more
    log.append(10);
    CHECK(std::ranges::count(log.history(), '\n') == 1);
}

TEST_CASE("history log: with stop a row that cannot be written ends the run") {
    Log log(true);
    fs::remove_all(log.run_folder.path());
    CHECK_THROWS_AS(log.append(3), std::runtime_error);
}

TEST_CASE("history log: ranks other than the root have the rows, and write nothing") {
    Log log(true, false);
    log.log.write(log.training.network());
    log.append(3);
    CHECK(log.log.has_row_of(3));
    CHECK_FALSE(fs::exists(log.run_folder.path() / "history.csv"));
}
