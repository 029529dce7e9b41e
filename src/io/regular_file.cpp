#include "src/io/regular_file.hpp"

#include <filesystem>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

const std::string& regular_file(const std::string& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (std::filesystem::is_regular_file(status)) return path;
    // An absent file is no error of status(), but one of this function.
    if (status.type() == std::filesystem::file_type::not_found)
        error = std::make_error_code(std::errc::no_such_file_or_directory);
    if (error) input_error("cannot read '", path, "': ", error.message());
    if (std::filesystem::is_directory(status))
        input_error("cannot read '", path, "': it is a folder; name a file in it, or several with a pattern as part_*");
    input_error("cannot read '", path, "': it is a device, a pipe or a socket; name a regular file");
}

}  // namespace pruntrain
