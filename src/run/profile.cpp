#include "pruntrain/run/profile.hpp"

#include <array>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/table.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr std::array phase_names{"input",   "forward", "loss", "backward",  "reduce",   "update",
                                 "observe", "prune",   "plan", "rebalance", "evaluate", "checkpoint"};

/// The sum of the step's phases; `times` counts the steps.
ProfileRow step_total(const ProfileRows& rows) {
    ProfileRow total;
    for (const auto& row : rows) {
        if (!in_step(row.phase)) continue;
        if (row.phase == Phase::update) total.times = row.times;
        total.seconds += row.seconds;
        total.work.flops += row.work.flops;
        total.work.summed_bytes += row.work.summed_bytes;
    }
    return total;
}

std::string rate(double amount, double seconds) { return amount > 0 ? fixed(amount / seconds / 1e9, 1) : "-"; }

}  // namespace

std::string name_of(Phase phase) { return phase_names[static_cast<std::size_t>(phase)]; }

std::string ProfileRow::name() const { return layer.empty() ? name_of(phase) : name_of(phase) + " " + layer; }

Profile::Profile(bool on, const std::vector<std::string>& layers) : on_(on) {
    for (std::size_t i = 0; i < phase_names.size(); ++i) {
        const auto phase = static_cast<Phase>(i);
        first_row_.push_back(rows_.size());
        if (phase == Phase::forward || phase == Phase::backward)
            for (const auto& layer : layers) rows_.push_back({.phase = phase, .layer = layer});
        else rows_.push_back({.phase = phase});
    }
}

void Profile::enter(Phase phase, std::size_t layer) {
    now_.store(phase, std::memory_order_relaxed);
    entered_.store(entered() + 1, std::memory_order_relaxed);  // only one thread writes it
    if (!on_) return;
    stop();
    open_ = &rows_[first_row_[static_cast<std::size_t>(phase)] + layer];
    ++open_->times;
}

void Profile::add(const Work& work) {
    if (open_ == nullptr) return;
    open_->work.flops += work.flops;
    open_->work.moved_bytes += work.moved_bytes;
    open_->work.summed_bytes += work.summed_bytes;
}

void Profile::stop() {
    const double now_s = clock_.seconds();
    if (open_ != nullptr) open_->seconds += now_s - entered_at_s_;
    open_ = nullptr;
    entered_at_s_ = now_s;
}

ProfileRows Profile::rows(const Communicator& ranks) const {
    if (!on_) return {};
    ProfileRows entered;
    for (const auto& row : rows_) {
        const double slowest_s = ranks.all_reduce_max(row.seconds);
        if (row.times == 0) continue;
        entered.push_back(row);
        entered.back().slowest_s = slowest_s;
    }
    return entered;
}

std::string profile_text(const ProfileRows& rows, int ranks) {
    const ProfileRow step = step_total(rows);
    const auto numbers = [&](const ProfileRow& row) -> std::vector<std::string> {
        return {fixed(row.seconds / step.seconds, 4), rate(row.work.flops, row.seconds),
                rate(row.work.moved_bytes, row.seconds),
                row.work.summed_bytes > 0 ? bytes_text(row.work.summed_bytes) : "-"};
    };
    std::vector<std::vector<std::string>> parts{{"phase", "seconds", "slowest", "share", "GF/s", "GB/s", "summed"}};
    std::vector<std::vector<std::string>> outside{{"outside the step", "seconds", "slowest", "times"}};
    for (const auto& row : rows) {
        std::vector<std::string> words{row.name(), fixed(row.seconds, 3), fixed(row.slowest_s, 3)};
        if (in_step(row.phase)) {
            for (const auto& number : numbers(row)) words.push_back(number);
            parts.push_back(words);
        } else {
            words.push_back(grouped(row.times));
            outside.push_back(words);
        }
    }
    if (step.times > 0) {
        parts.push_back({"step", fixed(step.seconds, 3), "-"});
        for (const auto& number : numbers(step)) parts.back().push_back(number);
    }
    return text("\nprofile of ", grouped(step.times), " steps on ", ranks,
                ranks == 1 ? " rank" : " ranks: rank 0, and the seconds of the slowest rank", "\n\n", table(parts),
                "\n", table(outside));
}

std::string profile_csv(const ProfileRows& rows) {
    const ProfileRow step = step_total(rows);
    std::string csv = "phase,layer,seconds,slowest_s,times,share,flops,moved_bytes,summed_bytes\n";
    for (const auto& row : rows)
        csv += text(name_of(row.phase), ",", csv_field(row.layer), ",", exact(row.seconds), ",", exact(row.slowest_s),
                    ",", row.times, ",", in_step(row.phase) ? exact(row.seconds / step.seconds) : "", ",",
                    exact(row.work.flops), ",", exact(row.work.moved_bytes), ",", exact(row.work.summed_bytes), "\n");
    return csv;
}

}  // namespace pruntrain
