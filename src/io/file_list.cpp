#include "pruntrain/io/file_list.hpp"

#include <glob.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace {

bool is_digit(char letter) { return std::isdigit(static_cast<unsigned char>(letter)) != 0; }

/// Runs of digits compare as numbers.
bool before(const std::string& one, const std::string& other) {
    std::size_t i = 0, j = 0;
    const auto digits = [](const std::string& word, std::size_t& place) {
        while (place + 1 < word.size() && word[place] == '0' && is_digit(word[place + 1])) ++place;
        const std::size_t first = place;
        while (place < word.size() && is_digit(word[place])) ++place;
        return word.substr(first, place - first);
    };
    while (i < one.size() && j < other.size()) {
        if (is_digit(one[i]) && is_digit(other[j])) {
            const std::string left = digits(one, i), right = digits(other, j);
            if (left.size() != right.size()) return left.size() < right.size();
            if (left != right) return left < right;
        } else {
            if (one[i] != other[j]) return one[i] < other[j];
            ++i, ++j;
        }
    }
    if (i < one.size() || j < other.size()) return j < other.size();
    return one < other;
}

}  // namespace

std::vector<std::string> expand_patterns(const std::vector<std::string>& paths) {
    std::vector<std::string> files;
    for (const std::string& path : paths) {
        std::error_code ignored;
        if (path.find_first_of("*?[") == std::string::npos || std::filesystem::exists(path, ignored)) {
            files.push_back(path);
            continue;
        }
        glob_t found{};
        const int status = glob(path.c_str(), GLOB_NOSORT, nullptr, &found);
        std::vector<std::string> matches(found.gl_pathv, found.gl_pathv + found.gl_pathc);
        globfree(&found);
        std::erase_if(matches, [&](const std::string& match) { return std::filesystem::is_directory(match, ignored); });
        if (status != 0 || matches.empty()) input_error("cannot read '", path, "': no file matches the pattern");
        std::ranges::sort(matches, before);
        files.insert(files.end(), matches.begin(), matches.end());
    }
    return files;
}

}  // namespace pruntrain
