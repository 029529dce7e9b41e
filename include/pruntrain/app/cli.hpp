// The command line.
#pragma once

#include <optional>

#include "pruntrain/app/commands.hpp"

namespace pruntrain {

/// The command that the arguments ask for. Nothing if they ask for help or the version, which rank 0 prints.
/// @throws InputError if the arguments are wrong
std::optional<Command> parse_command_line(int argc, const char* const* argv, const Communicator& world);

}  // namespace pruntrain
