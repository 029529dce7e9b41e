#include "other_format.hpp"

#include <array>
#include <fstream>
#include <string_view>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

/// A zip archive begins with a header of 30 bytes, and the name of its first member.
std::string of_archive(std::string_view start, const std::string& path) {
    constexpr std::size_t length_at = 26, name_at = 30;
    const auto byte = [&](std::size_t i) { return i < start.size() ? static_cast<unsigned char>(start[i]) : 0U; };
    const std::size_t length = byte(length_at) | byte(length_at + 1) << 8;
    const std::string_view member = start.substr(std::min(name_at, start.size())).substr(0, length);
    if (!member.ends_with(".npy"))
        return member.find(".pkl") != std::string_view::npos
                   ? " (it is a file of PyTorch: save the tensor with numpy.save('x.npy', tensor.numpy()))"
                   : " (it is a zip archive: unpack it)";
    const std::string name = shown(member.substr(0, member.size() - 4));
    return text(" (it is an NPZ archive of several arrays: save each one in its own file, as numpy.save('", name,
                ".npy', numpy.load('", path, "')['", name, "']))");
}

}  // namespace

std::string other_format(const std::string& path) {
    std::array<char, 512> bytes{};
    std::ifstream file(path, std::ios::binary);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const std::string_view start(bytes.data(), static_cast<std::size_t>(file.gcount()));
    if (start.starts_with("PK\x03\x04")) return of_archive(start, path);
    if (start.starts_with("\x93NUMPY")) return " (it is an NPY file: set data.format to npy)";
    if (start.starts_with("\x89HDF\r\n\x1a\n")) return " (it is an HDF5 file: set data.format to hdf5)";
    if (start.starts_with("MATLAB 5.0")) return " (it is a MATLAB file of version 5: save it with '-v7.3')";
    if (start.starts_with("MATLAB 7.3")) return " (it is a MATLAB file of version 7.3, HDF5: set data.format to hdf5)";
    if (start.starts_with("\x80")) return " (it seems to be a Python pickle: save the array with numpy.save)";
    if (start.starts_with("\x1f\x8b")) return " (it is compressed with gzip: unpack it)";
    if (start.starts_with("CDF")) return " (it is a netCDF file of version 3: convert it with nccopy -k nc4)";
    if (start.starts_with("<")) return " (it seems to be a web page: is the download complete?)";
    return "";
}

}  // namespace pruntrain
