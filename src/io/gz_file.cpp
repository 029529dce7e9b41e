#include "pruntrain/io/gz_file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "regular_file.hpp"

namespace pruntrain {

constexpr index_t largest_ratio = 1032;  // highest compression ratio of deflate

void GzFile::Close::operator()(gzFile_s* file) const { gzclose(file); }

GzFile::GzFile(std::string path) : path_(std::move(path)) {
    std::error_code error;
    const auto size = std::filesystem::file_size(regular_file(path_), error);
    if (error) input_error("cannot read '", path_, "': ", error.message());
    descriptor_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) input_error("cannot read '", path_, "': ", std::strerror(errno));
    file_.reset(gzdopen(descriptor_, "rb"));  // closes the descriptor too
    if (!file_) fault("not enough memory to read '", path_, "'");
    opened_ = FileState::of(descriptor_);
    gzbuffer(file_.get(), 1 << 17);  // zlib's default of 8 KiB makes many small reads
    compressed_ = gzdirect(file_.get()) == 0;
    size_limit_ = static_cast<index_t>(size) * (compressed_ ? largest_ratio : 1);
}

index_t GzFile::read_up_to(std::span<std::byte> bytes) {
    constexpr std::size_t largest_piece = std::size_t{1} << 30;  // gzread counts in int
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto piece = bytes.subspan(done, std::min(largest_piece, bytes.size() - done));
        const int count = gzread(file_.get(), piece.data(), static_cast<unsigned>(piece.size()));
        int status = Z_OK;
        const std::string reason = gzerror(file_.get(), &status);  // "<fd:5>: incorrect data check"
        if (count < 0 || status != Z_OK)
            input_error("a file is damaged or truncated: ", path_,
                        reason.substr(std::min(reason.find(": "), reason.size())));
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    return static_cast<index_t>(done);
}

void GzFile::read(std::span<std::byte> bytes) { expect_all(read_up_to(bytes), bytes.size()); }

void GzFile::expect_bytes(index_t announced) {
    // Smaller files need no check. Images compress to between a half and a fifth of their size, and are read only once.
    constexpr index_t small = index_t{64} << 20, usual_ratio = 16;
    if (!compressed_ || announced <= small || announced / usual_ratio <= size_limit_ / largest_ratio) return;
    seek(0);
    std::vector<std::byte> piece(1 << 20);
    index_t bytes = 0;
    while (bytes < announced) {
        const index_t count = read_up_to(piece);
        bytes += count;
        if (count == 0)
            input_error("'", path_, "' is too short: it ends ", announced - bytes, " bytes before what its header ",
                        "announces");
    }
}

void GzFile::read_at(index_t position, std::span<std::byte> bytes) {
    if (compressed_) {
        seek(position);
        return read(bytes);
    }
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto left = bytes.subspan(done);
        const ssize_t count = pread(descriptor_, left.data(), left.size(), position + static_cast<off_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) input_error("cannot read '", path_, "': ", std::strerror(errno));
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    expect_all(static_cast<index_t>(done), bytes.size());
}

void GzFile::expect_all(index_t count, std::size_t wanted) const {
    if (count != static_cast<index_t>(wanted))
        input_error("'", path_, "' is too short: it ends ", static_cast<index_t>(wanted) - count,
                    " bytes before what its header announces");
}

void GzFile::seek(index_t position) {
    if (gzseek(file_.get(), position, SEEK_SET) != position) input_error("'", path_, "' is damaged or truncated");
}

void GzFile::expect_end(index_t position) {
    std::array<std::byte, 1> one_more{};
    if (!compressed_) seek(position);  // a compressed file is already there
    if (read_up_to(one_more) != 0) input_error("'", path_, "' is longer than its header announces");
}

void GzFile::expect_unchanged() const {
    if (FileState::of(descriptor_) != opened_) input_error("'", path_, "'", FileState::changed);
}

}  // namespace pruntrain
