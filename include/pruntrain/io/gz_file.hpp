// Files of bytes that are read from start to end, plain or compressed with gzip. The only owner of zlib.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "pruntrain/base/types.hpp"

struct gzFile_s;

namespace pruntrain {

class GzFile {
   public:
    /// @throws InputError if it cannot be opened
    explicit GzFile(std::string path);

    const std::string& path() const { return path_; }
    /// No more bytes than this can come out: the file's size if it is plain, else 1032 times as many, the most that
    /// deflate can compress (zlib's technical notes). So a header that lies is known before memory is taken for it.
    index_t size_limit() const { return size_limit_; }

    /// Fills `bytes` from the present position. @throws InputError if the file is damaged or ends before
    void read(std::span<std::byte> bytes);
    /// Goes to a position in the uncompressed content.
    void seek(index_t position);
    /// @throws InputError if bytes are left, or the checksum at the end of a compressed file is wrong
    void expect_end();

   private:
    struct Close {
        void operator()(gzFile_s* file) const;
    };
    index_t read_up_to(std::span<std::byte> bytes);

    std::string path_;
    std::unique_ptr<gzFile_s, Close> file_;
    index_t size_limit_ = 0;
};

}  // namespace pruntrain
