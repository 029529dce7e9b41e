// Files that are published atomically and in which any changed byte is detected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// A sealed file begins with this many bytes: text lines, then zeros. The lines have the kind of the file, the format
/// version, the length, and the checksum of these lines and of all that follows. HDF5 calls such a start a user block
/// and skips it.
inline constexpr std::uint64_t seal_bytes = 512;

struct FileKind {
    std::string_view name;   ///< the first line of the seal, for instance "pruntrain checkpoint"
    index_t format_version;  ///< the newest version that this program reads
};

/// A file in memory (memfd_create(2)), open as long as this object lives. HDF5 writes here instead of to a disk. On a
/// full disk HDF5 1.10 can neither write nor close a file and crashes the process at exit, while a plain copy fails
/// with an error.
class MemoryFile {
   public:
    MemoryFile();
    ~MemoryFile();
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    std::filesystem::path path() const;  ///< for opening it in this process
    int descriptor() const { return descriptor_; }

   private:
    int descriptor_;
};

/// Writes a seal and `content` without its first `seal_bytes` to `path`.tmp, syncs, and lets `verify` read that file
/// back. Then renames it to `path` and syncs the folder.
/// @throws std::runtime_error with file and reason; then `path`.tmp is removed and an older `path` is unchanged
void publish_sealed(const MemoryFile& content, const std::filesystem::path& path, const FileKind& kind,
                    const std::function<void(const std::filesystem::path&)>& verify);

/// Reads the whole file. @return its format version
/// @throws InputError with the reason: unreadable, of another kind, newer, truncated, damaged
index_t verify_seal(const std::filesystem::path& path, const FileKind& kind);

}  // namespace pruntrain
