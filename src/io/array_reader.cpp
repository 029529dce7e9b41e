#include "pruntrain/io/array_reader.hpp"

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

ArrayReader::ArrayReader(std::string source, std::vector<index_t> dimensions, bool holds_bytes, index_t size_limit)
    : source_(std::move(source)), dimensions_(std::move(dimensions)), holds_bytes_(holds_bytes) {
    for (const index_t dimension : dimensions_) {
        if (dimension <= 0) input_error(source_, " is empty: its dimensions are ", crossed(dimensions_));
        if (dimension > size_limit / size_)
            input_error(source_, " is truncated or its header is wrong: it announces ", crossed(dimensions_),
                        " elements, but the file has room for ", size_limit, " at most");
        size_ *= dimension;
    }
}

void ArrayReader::read_doubles(index_t, index_t, std::span<double>) { fault(source_, " holds no double values"); }

}  // namespace pruntrain
