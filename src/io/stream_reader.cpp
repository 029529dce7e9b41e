#include "stream_reader.hpp"

#include <algorithm>
#include <type_traits>

#include "strips.hpp"

namespace pruntrain {

StreamReader::StreamReader(GzFile file, StreamLayout layout)
    : ArrayReader("'" + file.path() + "'", std::move(layout.dimensions), layout.type.stored_as(),
                  (file.size_limit() - layout.header_bytes) / layout.type.bytes()),
      file_(std::move(file)),
      header_bytes_(layout.header_bytes),
      type_(layout.type),
      fortran_order_(layout.fortran_order && dimensions().size() > 1),
      reversed_(layout.reversed) {
    file_.expect_bytes(position(size()));
}

void StreamReader::read_bytes(index_t first, index_t count, std::span<std::byte> numbers) {
    read(first, count, numbers);
}
void StreamReader::read_floats(index_t first, index_t count, std::span<float> numbers) { read(first, count, numbers); }
void StreamReader::read_doubles(index_t first, index_t count, std::span<double> numbers) {
    read(first, count, numbers);
}

std::string StreamReader::why_sequential() const {
    if (file_.compressed()) return source() + " is compressed with gzip (unpack it)";
    if (fortran_order_ && reversed_)
        return source() +
               " is read with its dimensions reversed (store the samples first, and set data.transposed to "
               "false)";
    if (fortran_order_) return source() + " is in Fortran order (save numpy.ascontiguousarray(array))";
    return "";
}

template <class Result>
void StreamReader::read(index_t first, index_t count, std::span<Result> numbers) {
    if (fortran_order_) read_strips(first, count, numbers);
    else read_in_order(first, numbers);
    if (first + count == dimensions().front()) file_.expect_end(position(size()));
    file_.expect_unchanged();
}

template <class Result>
void StreamReader::read_in_order(index_t first, std::span<Result> numbers) {
    const index_t begin = first * (size() / dimensions().front());
    if constexpr (std::is_same_v<Result, std::byte>) return file_.read_at(position(begin), numbers);
    constexpr std::size_t piece = 1 << 14;  // 128 KiB at most, which stay in the cache between read and convert
    const auto element_bytes = static_cast<std::size_t>(type_.bytes());
    std::vector<std::byte> bytes(std::min(piece, numbers.size()) * element_bytes);
    for (std::size_t done = 0; done < numbers.size(); done += piece) {
        const auto stored = std::span(bytes).first(std::min(piece, numbers.size() - done) * element_bytes);
        file_.read_at(position(begin + static_cast<index_t>(done)), stored);
        type_.convert(stored, numbers.data() + done);
    }
}

/// Reads blocks of some strips and some samples, so that the file is never in memory a second time. A compressed file
/// is read from its start to its end: one strip at a time, unless strips are whole.
template <class Result>
void StreamReader::read_strips(index_t first, index_t count, std::span<Result> numbers) {
    const Strips strips(dimensions());
    constexpr index_t block = 1 << 16, together = 16;  // elements; strips, a cache line of floats in each sample
    const bool whole = count == strips.samples() && count <= block;
    const index_t most_strips = whole ? block / count : file_.compressed() ? 1 : together;
    const index_t most_samples = whole ? count : block / most_strips;
    std::vector<std::byte> bytes;
    std::vector<Result> converted;
    for (index_t strip = 0; strip < strips.count(); strip += most_strips) {
        const index_t strips_here = std::min(most_strips, strips.count() - strip);
        for (index_t n = 0; n < count; n += most_samples) {
            const index_t samples_here = std::min(most_samples, count - n);
            bytes.resize(strips_here * samples_here * type_.bytes());
            converted.resize(strips_here * samples_here);
            const auto read_one = [&](index_t from, std::span<std::byte> to) {
                file_.read_at(position((strip + from) * strips.samples() + first + n), to);
            };
            const std::size_t strip_bytes = bytes.size() / static_cast<std::size_t>(strips_here);
            if (whole) read_one(0, bytes);
            else
                for (index_t i = 0; i < strips_here; ++i)
                    read_one(i, std::span(bytes).subspan(static_cast<std::size_t>(i) * strip_bytes, strip_bytes));
            type_.convert(std::span<const std::byte>(bytes), converted.data());
            strips.scatter(converted.data(), strip, strips_here, samples_here, numbers.data() + n * strips.count());
        }
    }
}

}  // namespace pruntrain
