// Words as targets: their numbers are the same in all files of a run, and in runs that use its checkpoint.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/data/data_format.hpp"

namespace pruntrain {

/// The class names of the run: those given, or the words of the training file. @throws InputError if one occurs twice
std::vector<std::string> names_of_classes(std::vector<std::string> given, const SampleSource& train);

/// From the root to all.
void broadcast(std::vector<std::string>& names, const Communicator& world);

/// The class of each word of a file, by its number in that file; empty if its targets are numbers.
/// @throws InputError naming file, line and word if it is none of the names
std::vector<float> map_classes(const SampleSource& source, const std::vector<std::string>& names, bool train_has_words);

/// Replaces numbers of a file by those of the run; an empty map changes nothing.
void apply_map(const std::vector<float>& map, std::span<float> targets);

}  // namespace pruntrain
