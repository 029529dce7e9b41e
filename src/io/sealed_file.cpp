#include "pruntrain/io/sealed_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "pruntrain/base/error.hpp"
#include "pruntrain/io/checksum.hpp"

namespace pruntrain {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t piece_bytes =
    1 << 18;  // large enough to hide the cost of a call, small enough for a core's cache

[[noreturn]] void system_fault(const std::string& what) { fault(what, ": ", std::strerror(errno)); }

/// An open file.
class Descriptor {
   public:
    Descriptor(const fs::path& path, int flags) : number_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
        if (number_ < 0) system_fault("cannot open " + path.string());
    }
    ~Descriptor() { ::close(number_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    operator int() const { return number_; }

   private:
    int number_;
};

std::uint64_t size_of(int file) {
    struct stat status {};
    if (::fstat(file, &status) != 0) system_fault("cannot read the size");
    return static_cast<std::uint64_t>(status.st_size);
}

/// @return the number of bytes read; fewer than requested only at the end of the file
std::size_t read_at(int file, std::uint64_t offset, std::span<std::byte> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count =
            ::pread(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) system_fault("cannot read");
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    return done;
}

void write_at(int file, std::uint64_t offset, std::span<const std::byte> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count =
            ::pwrite(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) system_fault("cannot write");
        done += static_cast<std::size_t>(count);
    }
}

/// Calls `use(offset, bytes)` for all bytes after the seal, in pieces.
template <class Use>
void read_behind_seal(int file, Use&& use) {
    std::vector<std::byte> piece(std::min<std::uint64_t>(piece_bytes, size_of(file) + 1));
    std::uint64_t offset = seal_bytes;
    while (const std::size_t count = read_at(file, offset, piece)) {
        use(offset, std::span<const std::byte>(piece).first(count));
        offset += count;
    }
}

using Seal = std::array<char, seal_bytes>;

/// The part of the seal that the checksum covers.
std::string first_lines(const FileKind& kind, std::uint64_t bytes) {
    return text(kind.name, "\nformat_version ", kind.format_version, "\nbytes ", bytes, "\n");
}

Seal make_seal(const std::string& first_lines, const std::string& digits) {
    const std::string lines = first_lines + "xxh3_64 " + digits + "\n";
    Seal seal{};
    std::copy(lines.begin(), lines.end(), seal.begin());
    return seal;
}

void write_sealed(int content, const fs::path& path, const FileKind& kind) {
    // An earlier file may still be open in a process that has lost the lock of this folder.
    if (std::error_code ignored; fs::is_regular_file(fs::symlink_status(path, ignored))) ::unlink(path.c_str());
    const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
    const std::string lines = first_lines(kind, size_of(content));
    Checksum sum;
    sum.add(std::as_bytes(std::span(lines)));
    read_behind_seal(content, [&](std::uint64_t offset, std::span<const std::byte> bytes) {
        sum.add(bytes);
        write_at(file, offset, bytes);
    });
    const Seal seal = make_seal(lines, sum.digits());
    write_at(file, 0, std::as_bytes(std::span(seal)));
    if (::fsync(file) != 0) system_fault("cannot sync");
}

/// Makes the new name survive a power failure. Some network file systems cannot sync a folder and return EINVAL.
void sync_folder(const fs::path& folder) {
    const Descriptor open_folder(folder.empty() ? fs::path(".") : folder, O_RDONLY | O_DIRECTORY);
    if (::fsync(open_folder) != 0 && errno != EINVAL) system_fault("cannot sync " + folder.string());
}

}  // namespace

MemoryFile::MemoryFile() : descriptor_(::memfd_create("pruntrain", MFD_CLOEXEC)) {
    if (descriptor_ < 0) system_fault("cannot make a file in memory");
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

fs::path MemoryFile::path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

void publish_sealed(const MemoryFile& content, const fs::path& path, const FileKind& kind,
                    const std::function<void(const fs::path&)>& verify) {
    const fs::path temporary = path.string() + ".tmp";
    try {
        write_sealed(content.descriptor(), temporary, kind);
        verify(temporary);
        if (::rename(temporary.c_str(), path.c_str()) != 0) system_fault("cannot rename " + temporary.string());
        sync_folder(path.parent_path());
    } catch (const std::exception& error) {
        ::unlink(temporary.c_str());
        fault("cannot write ", path.string(), ": ", error.what());
    }
}

index_t verify_seal(const fs::path& path, const FileKind& kind) {
    const auto wrong = [&](const auto&... what) { input_error(path.string(), " ", what...); };
    index_t version = 0;
    std::error_code error;
    const auto type = fs::status(path, error).type();
    if (type == fs::file_type::not_found) wrong("does not exist");
    if (type != fs::file_type::regular) wrong("is not a regular file");
    try {
        const Descriptor file(path, O_RDONLY);
        Seal seal{};
        read_at(file, 0, std::as_writable_bytes(std::span(seal)));
        const std::string lines(seal.begin(), std::find(seal.begin(), seal.end(), '\0'));
        const std::string first = text(kind.name, "\n");
        if (lines.compare(0, first.size(), first) != 0) wrong("is not a ", kind.name);

        std::istringstream in(lines.substr(first.size()));
        std::string word, digits;
        std::uint64_t bytes = 0;
        if (!(in >> word >> version) || version < 1) wrong("is damaged in its first lines");
        if (version > kind.format_version)
            wrong("has format version ", version, ", this program reads up to ", kind.format_version,
                  ": use the newer program that wrote it");
        if (!(in >> word >> bytes >> word >> digits)) wrong("is damaged in its first lines");
        const std::uint64_t size = size_of(file);
        if (size < bytes) wrong("is truncated: it has ", size, " of ", bytes, " bytes");
        if (size > bytes) wrong("is damaged: it has ", size, " bytes, ", size - bytes, " too many");

        const std::string covered = first_lines({kind.name, version}, bytes);
        Checksum sum;
        sum.add(std::as_bytes(std::span(covered)));
        read_behind_seal(file, [&](std::uint64_t, std::span<const std::byte> piece) { sum.add(piece); });
        if (sum.digits() != digits) wrong("is damaged: its checksum is ", sum.digits(), ", it should be ", digits);
        // A byte that parses to the same values, or that follows the lines, may still be wrong.
        if (seal != make_seal(covered, digits)) wrong("is damaged in its first ", seal_bytes, " bytes");
    } catch (const InputError&) {
        throw;
    } catch (const std::runtime_error& reason) {
        wrong("cannot be read: ", reason.what());
    }
    return version;
}

}  // namespace pruntrain
