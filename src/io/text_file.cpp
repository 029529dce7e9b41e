#include "src/io/text_file.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "pruntrain/base/error.hpp"
#include "regular_file.hpp"

namespace pruntrain {

namespace {

constexpr std::size_t head_bytes = std::size_t{1} << 16, largest_head = std::size_t{1} << 24;

struct Magic {
    std::string_view bytes;
    const char* advice;
};

using namespace std::string_view_literals;

constexpr const char* as_utf8 = "save it as UTF-8 (Excel: 'CSV UTF-8'; iconv -t UTF-8)";

constexpr std::array magics{
    // UTF-32 begins like UTF-16.
    Magic{"\xFF\xFE\0\0"sv, "is UTF-32"},
    Magic{"\0\0\xFE\xFF"sv, "is UTF-32"},
    Magic{"\xFF\xFE"sv, "is UTF-16"},
    Magic{"\xFE\xFF"sv, "is UTF-16"},
};

constexpr std::array others{
    Magic{"PK\x03\x04"sv, "is a zip archive or an Excel workbook: unpack it, or save it as CSV"},
    Magic{"\xD0\xCF\x11\xE0"sv, "is an Excel workbook: save it as CSV"},
    Magic{"BZh"sv, "is compressed with bzip2: unpack it, or compress it with gzip"},
    Magic{"\xFD\x37zXZ"sv, "is compressed with xz: unpack it, or compress it with gzip"},
    Magic{"\x28\xB5\x2F\xFD"sv, "is compressed with zstd: unpack it, or compress it with gzip"},
    Magic{"\x89HDF"sv, "is an HDF5 file: set data.format=hdf5"},
    Magic{"\x93NUMPY"sv, "is a NumPy array: set data.format=npy"},
    Magic{"<!DOCTYPE"sv, "is a web page and no table: download the file itself"},
    Magic{"<html"sv, "is a web page and no table: download the file itself"},
    Magic{"PAR1"sv, "is a Parquet file: save it as CSV (pandas: read_parquet, to_csv)"},
};

std::size_t read_from(GzFile& file, std::span<char> bytes) {
    return static_cast<std::size_t>(file.read_up_to(std::as_writable_bytes(bytes)));
}

}  // namespace

TextFile::TextFile(const std::string& path) : file_(regular_file(path)) {
    const auto lines = [&] {
        return std::ranges::count_if(head_, [](char letter) { return letter == '\n' || letter == '\r'; });
    };
    do {
        const std::size_t before = head_.size();
        const std::size_t wanted = std::max(head_bytes, 2 * before);
        head_.resize(wanted);
        head_.resize(before + read_from(file_, std::span(head_).subspan(before)));
        is_whole_ = head_.size() < wanted;
    } while (!is_whole_ && lines() < 6 && head_.size() < largest_head);  // a line may have two ends

    for (const Magic& magic : magics)
        if (head_.starts_with(magic.bytes)) input_error("'", path, "' ", magic.advice, ": ", as_utf8);
    for (const Magic& magic : others)
        if (head_.starts_with(magic.bytes)) input_error("'", path, "' ", magic.advice);
    if (head_.find('\0') != std::string::npos)
        input_error("'", path, "' has bytes that are 0: it is no text, or UTF-16; ", as_utf8);
    if (head_.starts_with("\xEF\xBB\xBF")) position_ = 3;
    head_.erase(0, std::exchange(position_, 0));
}

std::size_t TextFile::read(std::span<char> bytes) {
    if (position_ == head_.size()) return read_from(file_, bytes);
    const std::size_t count = std::min(bytes.size(), head_.size() - position_);
    std::copy_n(head_.begin() + static_cast<std::ptrdiff_t>(position_), count, bytes.begin());
    position_ += count;
    return count;
}

char TextFile::line_end() const {
    const bool has_feed = head_.find('\n') != std::string::npos;
    return !has_feed && head_.find('\r') != std::string::npos ? '\r' : '\n';
}

}  // namespace pruntrain
