// What the fuzz targets share. Each is one file with libFuzzer's LLVMFuzzerTestOneInput: it gives a reader some bytes,
// which the reader may take or refuse with an error that it means to throw; all else is a finding.
#pragma once

#include <cstdlib>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

#include "../support/temporary_folder.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/io/array_reader.hpp"

namespace pruntrain::fuzz {

/// An InputError is how a reader refuses; what HDF5's owner throws is a plain runtime_error. Others escape: bad_alloc,
/// out_of_range, logic_error.
template <class Work>
bool accepted(const Work& work) {
    try {
        work();
        return true;
    } catch (const InputError&) {
        return false;
    } catch (const std::runtime_error& error) {
        if (typeid(error) != typeid(std::runtime_error)) throw;
        return false;
    }
}

inline void require(bool holds) {
    if (!holds) std::abort();
}

/// The same name for every input: readers take files, not bytes.
inline const std::filesystem::path& file_for_input() {
    static const TemporaryFolder folder;
    static const std::filesystem::path path = folder / "input";
    return path;
}

/// What a data set does with an array: takes memory for what is announced, and reads all of it, then its last entry.
inline void read_all(ArrayReader& array) {
    const index_t entries = array.dimensions().empty() ? 0 : array.dimensions().front();
    if (entries == 0) return;
    constexpr index_t most = index_t{1} << 22;  // fill values of chunks that were never written take no room in a file
    if (array.size() > most && !array.warning().empty()) return;
    const auto last = static_cast<std::size_t>(array.size() / entries);
    std::vector<float> numbers(static_cast<std::size_t>(array.size())), again(last);
    array.read_floats(0, entries, numbers);
    array.read_floats(entries - 1, 1, again);
    if (!array.holds_bytes()) return;
    std::vector<std::byte> bytes(numbers.size());
    array.read_bytes(0, entries, bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) require(static_cast<float>(bytes[i]) == numbers[i]);
}

}  // namespace pruntrain::fuzz
