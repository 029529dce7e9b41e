// An array in a file that is a header and then contiguous elements to the end: IDX and NPY.
#pragma once

#include <string>
#include <vector>

#include "element_type.hpp"
#include "pruntrain/io/array_reader.hpp"
#include "pruntrain/io/gz_file.hpp"

namespace pruntrain {

struct StreamLayout {
    index_t header_bytes = 0;
    std::vector<index_t> dimensions;
    ElementType type;
    bool fortran_order = false;  ///< the first dimension varies fastest
    bool reversed = false;       ///< a key says that the file has the dimensions in reverse
};

class StreamReader final : public ArrayReader {
   public:
    StreamReader(GzFile file, StreamLayout layout);

    void read_bytes(index_t first, index_t count, std::span<std::byte> numbers) override;
    void read_floats(index_t first, index_t count, std::span<float> numbers) override;
    void read_doubles(index_t first, index_t count, std::span<double> numbers) override;
    std::string why_sequential() const override;

   private:
    template <class Result>
    void read(index_t first, index_t count, std::span<Result> numbers);
    template <class Result>
    void read_in_order(index_t first, std::span<Result> numbers);
    template <class Result>
    void read_strips(index_t first, index_t count, std::span<Result> numbers);
    /// Of an element, by its number in the file.
    index_t position(index_t element) const { return header_bytes_ + element * type_.bytes(); }

    GzFile file_;
    index_t header_bytes_;
    ElementType type_;
    bool fortran_order_, reversed_;
};

}  // namespace pruntrain
