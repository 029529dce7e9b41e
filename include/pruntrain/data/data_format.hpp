// Sources of samples: one member of this family per file format.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pruntrain/base/registry.hpp"
#include "pruntrain/base/types.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/math/tile.hpp"

namespace pruntrain {

/// How a feature is stored in memory. It is stored as in the file, so that images of bytes take 4x less memory.
enum class Element { byte, float32 };
inline std::size_t size_of(Element element) { return element == Element::byte ? 1 : sizeof(float); }

/// The contents of a file as far as they are known before its data is read.
struct SampleHeader {
    Shape shape;  ///< of one sample
    index_t samples = 0;
    index_t target_width = 1;  ///< values per target; 1 for a class label
    Element element = Element::float32;

    std::size_t sample_bytes() const { return static_cast<std::size_t>(shape.size()) * size_of(element); }
    friend bool operator==(const SampleHeader&, const SampleHeader&) = default;
};

/// Files, and the names in them, of inputs and targets: for messages.
struct SampleNames {
    std::string inputs = "the inputs";
    std::string targets = "the targets";
};

/// A word that is a target, and where it is first: "'a.csv' line 3 column 2".
struct ClassName {
    std::string name, place;
};

/// The samples of one file or pair of files, or of several of them.
class SampleSource {
   public:
    virtual ~SampleSource() = default;
    virtual SampleHeader header() const = 0;
    /// Reads the samples [first, first + count): features (sample, channel, row, column), in the header's element type,
    /// and targets (sample, target). An empty span is not filled.
    /// @throws InputError naming the file if it is damaged, shorter than its header says, or has changed
    virtual void read(index_t first, index_t count, std::span<std::byte> features, std::span<float> targets) const = 0;
    /// Why features can only be read after those before them, and what to do about it; "" if they can be read alone.
    virtual std::string why_sequential() const { return "this format is read from its start"; }
    bool reads_anywhere() const { return why_sequential().empty(); }
    virtual SampleNames names() const { return {}; }
    /// What the user should know of these data.
    virtual std::vector<std::string> warnings() const { return {}; }

    /// What to set if images are meant in another order of dimensions; "" if nothing suggests it.
    virtual std::string layout_hint() const { return ""; }

    using Take = std::function<void(index_t sample, std::span<const double> features)>;
    /// True if the files store inputs in a type that float32 rounds. Then `visit` is overridden, and gives them as they
    /// are.
    virtual bool is_wide() const { return false; }
    /// Calls `take` with the features of each of the samples [first, first + count), in order; not for bytes.
    virtual void visit(index_t first, index_t count, const Take& take) const;
    /// The words that are its targets; `read` gives the index of each in this list. Empty: the targets are numbers;
    /// null: they can only be numbers in this format.
    virtual const std::vector<ClassName>* classes() const { return nullptr; }
    /// The names of the input features, in order; empty: the files do not name them, or not each by a name of its own.
    virtual std::vector<std::string> input_names() const { return {}; }
};

enum class Part { train, test };

/// Made from the `data` section on every rank, without file access. Then one rank of each node opens the files, or all
/// ranks do if samples are read from disk.
class DataFormat {
   public:
    virtual ~DataFormat() = default;
    /// @return null if the configuration names no such part
    /// @throws InputError for a missing file, a wrong magic number, or a header that contradicts the file's size
    virtual std::unique_ptr<SampleSource> open(Part part) const = 0;
};

/// What a command needs of the data.
struct DataNeeds {
    bool training = true;  ///< false: if there are test files, the training files need not exist
    bool targets = true;   ///< false: the test files have no targets, or their targets are not read; `targets` are 0

    bool targets_of(Part part) const { return targets || part == Part::train; }
};

using DataFormatFactory = std::unique_ptr<DataFormat> (*)(const Config&, const DataNeeds&);
const Registry<DataFormatFactory>& data_formats();

/// The `data.directory` key.
std::string read_directory(const Config& config, const std::string& fallback);
/// Path of a file in the directory: relative names are resolved against it; an empty name stays empty.
std::string in_directory(const std::string& directory, const std::string& file);

/// The `data.shape` key: {features} or {channels, rows, columns}.
std::vector<index_t> read_shape(const Config& config, const std::vector<double>& fallback, const std::string& meaning);
Shape to_shape(const std::vector<index_t>& sizes);

}  // namespace pruntrain
