// Where samples come from: one member of this family per file format.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

/// How a feature is stored in memory: as in the file, so that images of bytes take a quarter of the memory.
enum class Element { byte, float32 };
inline std::size_t size_of(Element element) { return element == Element::byte ? 1 : sizeof(float); }

/// What a file holds, known before its content is read.
struct SampleHeader {
    Shape shape;  ///< of one sample
    index_t samples = 0;
    index_t target_width = 1;  ///< numbers in a target: 1 for a class number
    Element element = Element::float32;

    std::size_t sample_bytes() const { return static_cast<std::size_t>(shape.size()) * size_of(element); }
    friend bool operator==(const SampleHeader&, const SampleHeader&) = default;
};

/// The samples of one file or pair of files.
class SampleSource {
   public:
    virtual ~SampleSource() = default;
    virtual SampleHeader header() const = 0;
    /// Of the samples [first, first + count), fills features (sample, channel, row, column), in the header's element
    /// type, and targets (sample, target); an empty span stays unread.
    /// @throws InputError naming the file if it is damaged, shorter than its header says, or has changed
    virtual void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const = 0;
    /// Whether features are read without those before them.
    virtual bool reads_anywhere() const { return false; }
};

enum class Part { train, test };

/// Made from the `data` section on every rank, without touching a file; then one rank of each node opens the files, or
/// all do if samples stay there.
class DataFormat {
   public:
    virtual ~DataFormat() = default;
    /// @return null if the configuration names no such part
    /// @throws InputError for a missing file, a wrong magic number, or a header that the file's size contradicts
    virtual std::unique_ptr<SampleSource> open(Part part) const = 0;
};

using DataFormatFactory = std::unique_ptr<DataFormat> (*)(const Config&);
const Registry<DataFormatFactory>& data_formats();

/// The `data.directory` key.
std::string read_directory(const Config& config, const std::string& fallback);
/// A file in it: relative names count from the directory; no name stays no name.
std::string in_directory(const std::string& directory, const std::string& file);

/// The `data.shape` key: {features} or {channels, rows, columns}.
std::vector<index_t> read_shape(const Config& config, const std::vector<double>& fallback, const std::string& meaning);
Shape to_shape(const std::vector<index_t>& sizes);

}  // namespace pruntrain
