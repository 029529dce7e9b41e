#include "pruntrain/io/array_reader.hpp"

#include <algorithm>
#include <cmath>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

ArrayReader::ArrayReader(std::string source, std::vector<index_t> dimensions, StoredAs stored_as, index_t size_limit)
    : source_(std::move(source)), dimensions_(std::move(dimensions)), stored_as_(stored_as) {
    for (const index_t dimension : dimensions_) {
        if (dimension <= 0) input_error(source_, " is empty: its dimensions are ", crossed(dimensions_));
        if (dimension > size_limit / size_)
            input_error(source_, " is truncated or its header is wrong: it announces ", crossed(dimensions_),
                        " elements, but the file has room for ", size_limit, " at most");
        size_ *= dimension;
    }
}

void ArrayReader::read_targets(index_t first, index_t count, std::span<float> numbers) {
    if (stored_as_ != StoredAs::wide_integers) return read_floats(first, count, numbers);
    constexpr index_t piece_numbers = index_t{1} << 20;
    const index_t width = size_ / dimensions_.front(), piece = std::max(index_t{1}, piece_numbers / width);
    std::vector<double> exact_numbers;
    for (const index_t end = first + count; first < end; first += piece) {
        const index_t here = std::min(piece, end - first);
        exact_numbers.resize(here * width);
        read_doubles(first, here, exact_numbers);
        for (std::size_t i = 0; i < exact_numbers.size(); ++i) {
            const double number = exact_numbers[i];
            numbers[i] = static_cast<float>(number);
            const bool exactly_read = std::abs(number) < 0x1p53;  // above, the double may be rounded already
            if (numbers[i] == number && exactly_read) continue;
            input_error(source_, " has ",
                        exactly_read ? text("the integer ", static_cast<index_t>(number))
                                     : text("an integer of about ", exact(number)),
                        " at sample ", first + static_cast<index_t>(i) / width,
                        ", which float32 cannot hold exactly: class labels are 0, 1, 2, ..; if these are values to "
                        "predict, store them as floating-point values");
        }
        numbers = numbers.subspan(exact_numbers.size());
    }
}

}  // namespace pruntrain
