#include "pruntrain/data/file_list.hpp"

#include <glob.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr std::string_view wildcards = "*?[";

bool is_pattern(const std::string& name) { return name.find_first_of(wildcards) != std::string::npos; }

/// The text as a pattern that matches only itself.
std::string escaped(const std::string& name) {
    std::string pattern;
    for (const char one : name) {
        if (wildcards.find(one) != std::string_view::npos || one == '\\') pattern += '\\';
        pattern += one;
    }
    return pattern;
}

std::vector<std::string> matches(const std::string& pattern) {
    glob_t found{};
    const int status = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
    std::vector<std::string> paths;
    if (status == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    globfree(&found);
    return paths;
}

std::string describe(const SampleHeader& header) {
    return text("inputs of ", header.shape.describe(), header.element == Element::byte ? " bytes" : " values", " and ",
                header.target_width, " target(s)");
}

class ConcatenatedSource final : public SampleSource {
   public:
    explicit ConcatenatedSource(std::vector<std::unique_ptr<SampleSource>> sources) : sources_(std::move(sources)) {
        header_ = sources_.front()->header();
        for (const auto& source : sources_) {
            begins_.push_back(begins_.empty() ? 0 : header_.samples);
            const SampleHeader header = source->header();
            header_.samples = begins_.back() + header.samples;
            if (SampleHeader like_first{header_.shape, header.samples, header_.target_width, header_.element};
                header != like_first)
                input_error(sources_.front()->names().inputs, " has ", describe(header_), ", but ",
                            source->names().inputs, " has ", describe(header),
                            ": files that are read one after the other must agree in shapes and types");
        }
    }

    SampleHeader header() const override { return header_; }

    void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const override {
        const auto width = static_cast<std::size_t>(header_.target_width);
        for_each_part(first, count, [&](const SampleSource& source, index_t from, index_t here) {
            const auto samples = static_cast<std::size_t>(here);
            const auto own_features = features.first(features.empty() ? 0 : samples * header_.sample_bytes());
            const auto own_targets = targets.first(targets.empty() ? 0 : samples * width);
            source.read(from, here, own_features, own_targets);
            features = features.subspan(own_features.size());
            targets = targets.subspan(own_targets.size());
        });
    }

    std::string why_sequential() const override {
        for (const auto& source : sources_)
            if (std::string reason = source->why_sequential(); !reason.empty()) return reason;
        return "";
    }

    SampleNames names() const override {
        const SampleNames first = sources_.front()->names(), last = sources_.back()->names();
        return {text(first.inputs, " to ", last.inputs), text(first.targets, " to ", last.targets)};
    }

    std::vector<std::string> warnings() const override {
        std::vector<std::string> all;
        for (const auto& source : sources_) std::ranges::copy(source->warnings(), std::back_inserter(all));
        return all;
    }

    std::string layout_hint() const override { return sources_.front()->layout_hint(); }

    bool is_wide() const override {
        return std::ranges::any_of(sources_, [](const auto& source) { return source->is_wide(); });
    }

    void visit(index_t first, index_t count, const Take& take) const override {
        index_t sample = first;
        const auto take_next = [&](index_t, std::span<const double> features) { take(sample++, features); };
        for_each_part(first, count, [&](const SampleSource& source, index_t from, index_t here) {
            source.visit(from, here, take_next);
        });
    }

   private:
    /// Calls `work` with each source that has some of these samples, and which of its samples they are.
    template <class Work>
    void for_each_part(index_t first, index_t count, const Work& work) const {
        for (auto i = static_cast<std::size_t>(std::ranges::upper_bound(begins_, first) - begins_.begin() - 1);
             count > 0; ++i) {
            const index_t from = first - begins_[i];
            const index_t here = std::min(count, sources_[i]->header().samples - from);
            work(*sources_[i], from, here);
            first += here;
            count -= here;
        }
    }

    std::vector<std::unique_ptr<SampleSource>> sources_;
    std::vector<index_t> begins_;  // the first sample of each source
    SampleHeader header_;
};

}  // namespace

FileList::FileList(const Config& config, const std::string& directory, const std::string& key,
                   const std::optional<std::string>& fallback, const std::string& meaning)
    : directory_(directory), place_(config.place_of(key)) {
    std::optional<std::vector<std::string>> default_names;
    if (fallback) default_names.emplace({*fallback});
    names_ = config.paths(key, default_names, meaning);
    if (names_.size() == 1 && names_.front().empty()) names_.clear();
    if (std::ranges::find(names_, "") != names_.end()) input_error(place_, " has an empty name in its list");
}

std::vector<std::string> FileList::paths() const {
    std::vector<std::string> paths;
    for (const std::string& name : names_) {
        const std::string path = in_directory(directory_, name);
        if (std::error_code ignored; !is_pattern(name) || std::filesystem::exists(path, ignored)) {
            paths.push_back(path);
            continue;
        }
        auto found = matches(in_directory(escaped(directory_), name));
        if (found.empty()) input_error(place_, ": no file matches '", path, "': check the pattern and data.directory");
        std::ranges::sort(found, natural_less);
        for (const std::string& one : found) {
            const bool is_packed_copy =
                one.ends_with(".gz") && std::ranges::find(found, one.substr(0, one.size() - 3)) != found.end();
            if (!is_packed_copy) paths.push_back(one);
        }
    }
    return paths;
}

bool natural_less(const std::string& one, const std::string& other) {
    const auto is_digit = [](char letter) { return letter >= '0' && letter <= '9'; };
    // The digits from `at` on without leading zeros; `at` moves after them.
    const auto take_digits = [&](const std::string& name, std::size_t& at) {
        const std::size_t begin = at;
        while (at < name.size() && is_digit(name[at])) ++at;
        const std::string_view digits = std::string_view(name).substr(begin, at - begin);
        return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
    };
    std::size_t i = 0, j = 0;
    while (i < one.size() && j < other.size()) {
        if (is_digit(one[i]) && is_digit(other[j])) {
            const std::string_view left = take_digits(one, i), right = take_digits(other, j);
            if (left.size() != right.size()) return left.size() < right.size();
            if (left != right) return left < right;
        } else if (one[i] != other[j]) {
            return one[i] < other[j];
        } else {
            ++i;
            ++j;
        }
    }
    const bool one_ends = i == one.size(), other_ends = j == other.size();
    return one_ends && other_ends ? one < other : one_ends;
}

std::unique_ptr<SampleSource> concatenate(std::vector<std::unique_ptr<SampleSource>> sources, const Config& config) {
    auto source =
        sources.size() == 1 ? std::move(sources.front()) : std::make_unique<ConcatenatedSource>(std::move(sources));
    note_warnings(*source, config);
    return source;
}

void note_warnings(const SampleSource& source, const Config& config) {
    for (const std::string& warning : source.warnings()) {
        const std::string note = "warning: " + warning;
        const auto notes = config.notes();
        if (std::ranges::find(notes, note) == notes.end()) config.note(note);
    }
}

}  // namespace pruntrain
