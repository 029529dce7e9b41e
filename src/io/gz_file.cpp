#include "pruntrain/io/gz_file.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

void GzFile::Close::operator()(gzFile_s* file) const { gzclose(file); }

GzFile::GzFile(std::string path) : path_(std::move(path)) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path_, error);  // also refuses folders and pipes
    if (error) input_error("cannot read '", path_, "': ", error.message());
    file_.reset(gzopen(path_.c_str(), "rb"));
    if (!file_) input_error("cannot read '", path_, "': ", std::strerror(errno));
    gzbuffer(file_.get(), 1 << 17);  // zlib's own 8 KiB makes many small reads
    constexpr index_t largest_ratio = 1032;
    size_limit_ = static_cast<index_t>(size) * (gzdirect(file_.get()) ? 1 : largest_ratio);
}

index_t GzFile::read_up_to(std::span<std::byte> bytes) {
    constexpr std::size_t largest_piece = std::size_t{1} << 30;  // gzread counts in int
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto piece = bytes.subspan(done, std::min(largest_piece, bytes.size() - done));
        const int count = gzread(file_.get(), piece.data(), static_cast<unsigned>(piece.size()));
        int status = Z_OK;
        const char* const reason = gzerror(file_.get(), &status);
        if (count < 0 || status != Z_OK)
            input_error("a file is damaged or cut off: ", reason);  // zlib's reason begins with the path
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    return static_cast<index_t>(done);
}

void GzFile::read(std::span<std::byte> bytes) {
    const index_t count = read_up_to(bytes);
    if (count != static_cast<index_t>(bytes.size()))
        input_error("'", path_, "' is too short: it ends ", static_cast<index_t>(bytes.size()) - count,
                    " bytes before what its header announces");
}

void GzFile::seek(index_t position) {
    if (gzseek(file_.get(), position, SEEK_SET) != position) input_error("'", path_, "' is damaged or cut off");
}

void GzFile::expect_end() {
    std::array<std::byte, 1> one_more{};
    if (read_up_to(one_more) != 0) input_error("'", path_, "' is longer than its header announces");
}

}  // namespace pruntrain
