// A file that appears whole or not at all, and in which any changed byte is found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "pruntrain/base/types.hpp"

namespace pruntrain {

/// A sealed file begins with this many bytes: lines that say what it is, the version of its format, its length, and
/// the checksum of these lines and of all that follows; then zeros. HDF5 calls such a start a user block and passes
/// over it.
inline constexpr std::uint64_t seal_bytes = 512;

struct FileKind {
    std::string_view name;   ///< "pruntrain checkpoint", the first line of the seal
    index_t format_version;  ///< the newest that this program reads
};

/// A file in memory (memfd_create(2)), open as long as this object lives. HDF5 writes its files here and not on a disk:
/// on a full disk HDF5 1.10 can neither write nor close a file and crashes the process at its end, while a plain copy
/// to disk fails with an error.
class MemoryFile {
   public:
    MemoryFile();
    ~MemoryFile();
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    std::filesystem::path path() const;  ///< under which this process opens it
    int descriptor() const { return descriptor_; }

   private:
    int descriptor_;
};

/// Copies `content`, but for its first `seal_bytes`, behind a seal to `path`.tmp, syncs, lets `verify` read that file
/// back, renames it to `path`, and syncs the folder.
/// @throws std::runtime_error naming file and reason; then `path`.tmp is removed and an older `path` is untouched
void publish_sealed(const MemoryFile& content, const std::filesystem::path& path, const FileKind& kind,
                    const std::function<void(const std::filesystem::path&)>& verify);

/// Reads the whole file. @return its format version
/// @throws InputError saying what is wrong: unreadable, of another kind, newer, cut off, damaged
index_t verify_seal(const std::filesystem::path& path, const FileKind& kind);

}  // namespace pruntrain
