// Files that users name on the command line, and standard output. Rank 0 alone reads and writes them.
#pragma once

#include <string>
#include <vector>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/config/config.hpp"

namespace pruntrain {

/// Rank 0 reads the file, all ranks get the configuration. Collective.
/// @param overrides  key.path=value
Config read_config(const std::string& path, const std::vector<std::string>& overrides, const Communicator& world);

/// Rank 0 prints on standard error which old names the configuration has. Call it when all keys have been read.
void print_notes(const Config& config, const Communicator& world);

/// Rank 0 prints the text. Collective. @throws SharedFault if standard output is full or closed
void print(const std::string& text, const Communicator& world);

/// Checks before the work that the files can be written after it. Collective. An empty path is passed over.
/// @param inputs  files that the command reads: none of them may be overwritten
/// @throws InputError if a file cannot be written, is an input or is named twice
void check_output_files(const std::vector<std::string>& paths, const std::vector<std::string>& inputs,
                        const Communicator& world);

/// For rank 0. @throws std::runtime_error if the disk is full
void write_file(const std::string& path, const std::string& content);

}  // namespace pruntrain
