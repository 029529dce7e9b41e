#include "pruntrain/app/files.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace fs = std::filesystem;

namespace {

std::string read_text(const std::string& path) {
    constexpr std::size_t max_bytes = 1 << 24;  // some devices have no end
    std::string content(max_bytes + 1, '\0');
    std::ifstream file(path, std::ios::binary);
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(file.gcount());
    if (content.empty())
        input_error("cannot read the configuration ", path,
                    ": is the path right, and is it a readable, non-empty file?");
    if (content.size() > max_bytes)
        input_error("the configuration ", path, " is longer than ", max_bytes, " bytes: is it the right file?");
    return content;
}

/// Opens the file as the later write does, since permissions alone do not decide it. Leaves no file that was not there.
void check_writable(const std::string& path) {
    std::error_code error;
    const bool existed = fs::exists(path, error);
    if (fs::is_fifo(path, error)) return;  // its reader would take the end of this test for the end of the file
    if (!std::ofstream(path, std::ios::app)) input_error("cannot write ", path, ": is its folder there?");
    if (!existed) fs::remove(fs::canonical(path));  // not the symbolic link that may have led to it
}

bool is_same_file(const std::string& one, const std::string& other) {
    std::error_code error;
    if (fs::exists(one, error) && !fs::is_regular_file(one, error)) return false;  // as /dev/stdout
    const auto resolved = [](const std::string& path) {                            // also of a file that does not exist
        std::error_code ignored;
        return fs::weakly_canonical(fs::absolute(path), ignored);
    };
    return resolved(one) == resolved(other) || fs::equivalent(one, other, error);
}

}  // namespace

Config read_config(const std::string& path, const std::vector<std::string>& overrides, const Communicator& world) {
    std::string content;
    world.rethrow_collectively([&] {
        if (world.is_root()) content = read_text(path);
    });
    world.broadcast_text(content);
    return Config::parse(content, path, overrides);
}

void print_notes(const Config& config, const Communicator& world) {
    if (!world.is_root()) return;
    for (const auto& note : config.notes())
        std::cerr << text("pruntrain: ", note.starts_with("warning: ") ? "" : "note: ", note, "\n");
}

void print(const std::string& text, const Communicator& world) {
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        std::cout << text << std::flush;
        if (!std::cout) fault("cannot write to standard output: is the disk full?");
    });
}

void check_output_files(const std::vector<std::string>& paths, const std::vector<std::string>& inputs,
                        const Communicator& world) {
    world.rethrow_collectively([&] {
        if (!world.is_root()) return;
        std::vector<std::string> taken = inputs;
        for (const std::string& path : paths) {
            if (path.empty()) continue;
            for (std::size_t i = 0; i < taken.size(); ++i)
                if (is_same_file(path, taken[i]))
                    input_error("cannot write ", path, ": the command ",
                                i < inputs.size() ? "reads this file" : "writes something else to this file",
                                "; choose another name");
            check_writable(path);
            taken.push_back(path);
        }
    });
}

void write_file(const std::string& path, const std::string& content) {
    std::ofstream file(path, std::ios::binary);
    file << content;
    file.close();
    if (!file) fault("cannot write ", path, ": is the disk full?");
}

}  // namespace pruntrain
