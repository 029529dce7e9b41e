// Files of bytes, plain or compressed with gzip. The only user of zlib.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "pruntrain/base/types.hpp"
#include "pruntrain/io/file_state.hpp"

struct gzFile_s;

namespace pruntrain {

class GzFile {
   public:
    /// @throws InputError if it cannot be opened
    explicit GzFile(std::string path);

    const std::string& path() const { return path_; }
    bool compressed() const { return compressed_; }
    /// Upper bound of the uncompressed size: the file's size if it is plain, else 1032 times the size, the highest
    /// compression ratio of deflate (zlib's technical notes). A false header is found before memory is allocated for
    /// it.
    index_t size_limit() const { return size_limit_; }

    /// Uncompresses a compressed file once, to count its bytes, if the announced size is far above the usual ratio.
    /// @throws InputError if there are fewer bytes
    void expect_bytes(index_t announced);

    /// Fills `bytes` from the current position as far as the content reaches. @return the number of bytes
    index_t read_up_to(std::span<std::byte> bytes);
    /// Fills `bytes` from the current position. @throws InputError if the file is damaged or ends too early
    void read(std::span<std::byte> bytes);
    /// Fills `bytes` from a position in the uncompressed content. A plain file is read only there. A compressed file is
    /// uncompressed from the current position, or from the start if that is past `position`.
    void read_at(index_t position, std::span<std::byte> bytes);
    /// Call it once everything before `position` has been read.
    /// @throws InputError if more bytes follow, or the checksum at the end of a compressed file is wrong
    void expect_end(index_t position);
    /// @throws InputError if the file has changed since it was opened
    void expect_unchanged() const;

   private:
    struct Close {
        void operator()(gzFile_s* file) const;
    };
    void expect_all(index_t count, std::size_t wanted) const;
    void seek(index_t position);

    std::string path_;
    std::unique_ptr<gzFile_s, Close> file_;
    int descriptor_ = -1;  // of file_
    FileState opened_;
    bool compressed_ = false;
    index_t size_limit_ = 0;
};

}  // namespace pruntrain
