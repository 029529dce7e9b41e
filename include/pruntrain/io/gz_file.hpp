// Files of bytes, plain or compressed with gzip. The only owner of zlib.
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
    /// No more bytes than this can come out: the file's size if it is plain, else 1032 times as many, the most that
    /// deflate can compress (zlib's technical notes). So a header that lies is known before memory is taken for it.
    index_t size_limit() const { return size_limit_; }

    /// Of a compressed file that is said to hold much more than is usual, uncompresses it once, to count.
    /// @throws InputError if there are fewer bytes
    void expect_bytes(index_t announced);

    /// Fills `bytes` from the present position. @throws InputError if the file is damaged or ends before
    void read(std::span<std::byte> bytes);
    /// Fills them from a position in the uncompressed content. Of a plain file nothing else is read; a compressed one
    /// is uncompressed from the present position, or from the start if that lies behind.
    void read_at(index_t position, std::span<std::byte> bytes);
    /// To be called when all before `position` has been read.
    /// @throws InputError if bytes follow on it, or the checksum at the end of a compressed file is wrong
    void expect_end(index_t position);
    /// @throws InputError if the file is not what it was when it was opened
    void expect_unchanged() const;

   private:
    struct Close {
        void operator()(gzFile_s* file) const;
    };
    index_t read_up_to(std::span<std::byte> bytes);
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
