// A file of text, plain or compressed with gzip, in an encoding that contains ASCII.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "pruntrain/io/gz_file.hpp"

namespace pruntrain {

class TextFile {
   public:
    /// Reads the first lines. @throws InputError for no file, other encodings, and files that are no text
    explicit TextFile(const std::string& path);

    /// The first lines, without a byte order mark; at least three if there are, whole ones if the file has more.
    std::string_view head() const { return head_; }
    /// True if the file has nothing more.
    bool is_whole() const { return is_whole_; }
    /// Fills bytes from the text, from its start on. @return how many; 0 at its end
    std::size_t read(std::span<char> bytes);
    /// '\n', also for lines that end in '\r\n', or '\r'.
    char line_end() const;

   private:
    GzFile file_;
    std::string head_;
    std::size_t position_ = 0;  // in head_
    bool is_whole_ = false;
};

}  // namespace pruntrain
