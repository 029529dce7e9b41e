// IDX and NPY files: a header, then contiguous elements to the end of the file.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/array_reader.hpp"
#include "pruntrain/io/gz_file.hpp"

namespace pruntrain {

namespace {

static_assert(std::endian::native == std::endian::little, "elements of NPY files are copied without conversion");

enum class Number { uint8, int32, int64, float32, float64 };

index_t size_of(Number number) {
    switch (number) {
        case Number::uint8:
            return 1;
        case Number::int32:
        case Number::float32:
            return 4;
        case Number::int64:
        case Number::float64:
            return 8;
    }
    fault("unknown element type");
}

template <class Stored, class Result>
void convert(std::span<const std::byte> bytes, Result* numbers) {
    for (std::size_t begin = 0; begin < bytes.size(); begin += sizeof(Stored)) {
        Stored value;
        std::memcpy(&value, bytes.data() + begin, sizeof(Stored));
        *numbers++ = static_cast<Result>(value);
    }
}

template <class Result>
void convert(Number number, std::span<const std::byte> bytes, Result* numbers) {
    switch (number) {
        case Number::uint8:
            return convert<std::uint8_t, Result>(bytes, numbers);
        case Number::int32:
            return convert<std::int32_t, Result>(bytes, numbers);
        case Number::int64:
            return convert<std::int64_t, Result>(bytes, numbers);
        case Number::float32:
            return convert<float, Result>(bytes, numbers);
        case Number::float64:
            return convert<double, Result>(bytes, numbers);
    }
}

class StreamReader final : public ArrayReader {
   public:
    StreamReader(GzFile file, index_t header_bytes, std::vector<index_t> dimensions, Number number)
        : ArrayReader("'" + file.path() + "'", std::move(dimensions), number == Number::uint8,
                      (file.size_limit() - header_bytes) / size_of(number)),
          file_(std::move(file)),
          header_bytes_(header_bytes),
          number_(number) {
        file_.expect_bytes(header_bytes_ + size() * size_of(number_));
    }

    void read_bytes(index_t first, index_t count, std::span<std::byte> numbers) override {
        file_.read_at(position(first), numbers);
        check_after(first + count);
    }

    void read_floats(index_t first, index_t count, std::span<float> numbers) override { read(first, count, numbers); }
    void read_doubles(index_t first, index_t count, std::span<double> numbers) override { read(first, count, numbers); }
    bool is_wide() const override { return number_ != Number::uint8 && number_ != Number::float32; }

    bool reads_anywhere() const override { return !file_.compressed(); }

   private:
    template <class Result>
    void read(index_t first, index_t count, std::span<Result> numbers) {
        constexpr std::size_t piece =
            1 << 14;  // elements: 128 KiB at most, which stay in the cache between read and convert
        const auto number_bytes = static_cast<std::size_t>(size_of(number_));
        std::vector<std::byte> bytes(std::min(piece, numbers.size()) * number_bytes);
        for (std::size_t begin = 0; begin < numbers.size(); begin += piece) {
            const auto stored = std::span(bytes).first(std::min(piece, numbers.size() - begin) * number_bytes);
            file_.read_at(position(first) + static_cast<index_t>(begin * number_bytes), stored);
            convert(number_, stored, numbers.data() + begin);
        }
        check_after(first + count);
    }

    index_t position(index_t entry) const {
        return header_bytes_ + entry * (size() / dimensions().front()) * size_of(number_);
    }

    void check_after(index_t entry) {
        if (entry == dimensions().front()) file_.expect_end(position(entry));
        file_.expect_unchanged();
    }

    GzFile file_;
    index_t header_bytes_;
    Number number_;
};

std::uint32_t read_big_endian(GzFile& file) {
    std::array<std::uint8_t, 4> bytes{};
    file.read(std::as_writable_bytes(std::span(bytes)));
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

/// The Python dictionary of an NPY header, exactly as NumPy documents it: three keys, in any order.
class NpyHeader {
   public:
    NpyHeader(std::string_view text, const std::string& path) : rest_(text), path_(path) {
        bool has_descr = false, has_order = false, has_shape = false;
        expect('{');
        while (!skip('}')) {
            const std::string_view key = quoted();
            expect(':');
            if (key == "descr" && !std::exchange(has_descr, true)) read_descr();
            else if (key == "fortran_order" && !std::exchange(has_order, true)) read_order();
            else if (key == "shape" && !std::exchange(has_shape, true)) read_shape();
            else reject();
            if (!skip(',') && !next_is('}')) reject();
        }
        skip_blanks();
        if (!rest_.empty() || !has_descr || !has_order || !has_shape) reject();
    }

    Number number = Number::uint8;
    std::vector<index_t> dimensions;

   private:
    [[noreturn]] void reject() const {
        input_error("'", path_, "' has a damaged NPY header near '", shown(rest_.substr(0, 20)), "'");
    }

    void skip_blanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n"), rest_.size())); }

    bool next_is(char wanted) {
        skip_blanks();
        return !rest_.empty() && rest_.front() == wanted;
    }

    bool skip(char wanted) {
        if (!next_is(wanted)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    void expect(char wanted) {
        if (!skip(wanted)) reject();
    }

    std::string_view quoted() {
        expect('\'');
        const auto end = rest_.find('\'');
        if (end == std::string_view::npos) reject();
        const std::string_view word = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return word;
    }

    void read_descr() {
        if (next_is('[')) input_error("'", path_, "' holds records: save an array of one element type");
        const std::string_view descr = quoted();
        if (descr == "|u1") number = Number::uint8;
        else if (descr == "<i4") number = Number::int32;
        else if (descr == "<i8") number = Number::int64;
        else if (descr == "<f4") number = Number::float32;
        else if (descr == "<f8") number = Number::float64;
        else
            input_error("'", path_, "' holds elements of type '", shown(descr.substr(0, 40)),
                        "': allowed are |u1, <i4, <i8, <f4, <f8 (convert it with numpy.ndarray.astype)");
    }

    void read_order() {
        skip_blanks();
        if (rest_.starts_with("True"))
            input_error("'", path_, "' is in Fortran order: save numpy.ascontiguousarray(array) instead");
        if (!rest_.starts_with("False")) reject();
        rest_.remove_prefix(5);
    }

    void read_shape() {
        expect('(');
        while (!skip(')')) {
            skip_blanks();
            index_t dimension = 0;
            const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), dimension);
            if (error != std::errc{}) reject();
            rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
            dimensions.push_back(dimension);
            if (!skip(',') && !next_is(')')) reject();
        }
    }

    std::string_view rest_;
    const std::string& path_;
};

}  // namespace

std::unique_ptr<ArrayReader> open_idx(const std::string& path) {
    GzFile file(path);
    const std::uint32_t magic = read_big_endian(file);  // 0, 0, type code, number of dimensions
    const std::uint32_t type = magic >> 8, dimension_count = magic & 0xFF;
    if (magic >> 16 != 0 || dimension_count == 0)
        input_error("'", path, "' is no IDX file: its magic number is ", magic, ", MNIST's are 2049 and 2051");
    if (type != 0x08)
        input_error("'", path, "' stores elements of IDX type ", type, ": only unsigned bytes (type 8) are read");
    std::vector<index_t> dimensions;
    for (std::uint32_t i = 0; i < dimension_count; ++i) dimensions.push_back(read_big_endian(file));
    return std::make_unique<StreamReader>(std::move(file), index_t{4} * (1 + dimension_count), std::move(dimensions),
                                          Number::uint8);
}

std::unique_ptr<ArrayReader> open_npy(const std::string& path) {
    GzFile file(path);
    std::array<std::uint8_t, 12> start{};  // magic word, version, length of the header in 2 (version 1) or 4 bytes
    const auto bytes = std::as_writable_bytes(std::span(start));
    file.read(bytes.first(8));
    if (std::memcmp(start.data(), "\x93NUMPY", 6) != 0)
        input_error("'", path, "' is no NPY file: save the array with numpy.save");
    const int version = start[6];
    if (version < 1 || version > 3 || start[7] != 0)
        input_error("'", path, "' has NPY version ", version, ".", int{start[7]}, ": allowed are 1.0, 2.0 and 3.0");
    const std::size_t length_bytes = version == 1 ? 2 : 4;
    file.read(bytes.subspan(8, length_bytes));
    std::uint32_t length = 0;
    std::memcpy(&length, start.data() + 8, length_bytes);
    const auto header_bytes = static_cast<index_t>(8 + length_bytes + length);
    constexpr std::uint32_t longest = 1 << 16;  // NumPy's has some 100 bytes
    if (header_bytes > file.size_limit() || length > longest)
        input_error("'", path, "' is truncated or its header is wrong: it announces a header of ", length, " bytes, ",
                    "allowed are ", longest, " in a file that has them: save the array again with numpy.save");
    std::string header(length, ' ');
    file.read(std::as_writable_bytes(std::span(header)));
    NpyHeader parsed(header, path);
    return std::make_unique<StreamReader>(std::move(file), header_bytes, std::move(parsed.dimensions), parsed.number);
}

}  // namespace pruntrain
