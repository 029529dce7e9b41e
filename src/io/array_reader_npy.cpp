// NPY files of NumPy: magic word, version, a header that is a Python dictionary, elements.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "other_format.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "stream_reader.hpp"

namespace pruntrain {

namespace {

/// What to do with an array of a type that holds no values to train on; `kind` is NumPy's letter.
const char* advice_for(char kind) {
    switch (kind) {
        case 'O':
            return "Python objects: convert them, as with numpy.array(array.tolist(), dtype='float32')";
        case 'U':
        case 'S':
            return "text: save class labels as integers, as with numpy.unique(labels, return_inverse=True)[1]";
        case 'c':
            return "complex values: save real and imaginary parts as two features or channels";
        case 'M':
        case 'm':
            return "dates or durations: convert them, as with array.astype('int64')";
        case 'V':
            return "raw bytes: convert them with numpy.ndarray.view";
        default:
            return "a type that is not read: convert it, as with array.astype('float32')";
    }
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

    ElementType type;
    bool fortran_order = false;
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
        const char quote = next_is('"') ? '"' : '\'';
        expect(quote);
        const auto end = rest_.find(quote);
        if (end == std::string_view::npos) reject();
        const std::string_view word = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return word;
    }

    void read_descr() {
        if (next_is('['))
            input_error("'", path_, "' holds records with named fields: save an array of one element type, as with ",
                        "numpy.lib.recfunctions.structured_to_unstructured(array)");
        using Word = std::pair<std::string_view, Number>;
        constexpr std::array<Word, 12> types{
            Word{"b1", Number::boolean}, Word{"u1", Number::uint8},   Word{"i1", Number::int8},
            Word{"u2", Number::uint16},  Word{"i2", Number::int16},   Word{"u4", Number::uint32},
            Word{"i4", Number::int32},   Word{"u8", Number::uint64},  Word{"i8", Number::int64},
            Word{"f2", Number::float16}, Word{"f4", Number::float32}, Word{"f8", Number::float64}};
        const std::string_view descr = quoted();
        const bool has_order = !descr.empty() && std::string_view("<>|=").find(descr.front()) != std::string_view::npos;
        const std::string_view kind = descr.substr(has_order ? 1 : 0);
        const auto* const found = std::ranges::find(types, kind, &Word::first);
        if (found == types.end())
            input_error("'", path_, "' holds elements of type '", shown(descr.substr(0, 40)), "', ",
                        advice_for(kind.empty() ? ' ' : kind.front()));
        type = {found->second, descr.front() == '>'};
    }

    void read_order() {
        skip_blanks();
        fortran_order = rest_.starts_with("True");
        if (!fortran_order && !rest_.starts_with("False")) reject();
        rest_.remove_prefix(fortran_order ? 4 : 5);
    }

    void read_shape() {
        expect('(');
        while (!skip(')')) {
            skip_blanks();
            index_t dimension = 0;
            const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), dimension);
            if (error != std::errc{}) reject();
            rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
            if (rest_.starts_with('L')) rest_.remove_prefix(1);  // as Python 2 writes a long integer
            dimensions.push_back(dimension);
            if (!skip(',') && !next_is(')')) reject();
        }
    }

    std::string_view rest_;
    const std::string& path_;
};

}  // namespace

std::unique_ptr<ArrayReader> open_npy(const std::string& path, DimensionOrder order) {
    GzFile file(path);
    std::array<std::uint8_t, 12> start{};  // magic word, version, length of the header in 2 (version 1) or 4 bytes
    const auto bytes = std::as_writable_bytes(std::span(start));
    file.read(bytes.first(8));
    if (std::memcmp(start.data(), "\x93NUMPY", 6) != 0)
        input_error("'", path, "' is no NPY file: save the array with numpy.save", other_format(path));
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
    StreamLayout layout{header_bytes, std::move(parsed.dimensions), parsed.type, parsed.fortran_order};
    if (order == DimensionOrder::reversed) {  // the same elements in the file, told the other way around
        std::ranges::reverse(layout.dimensions);
        layout.fortran_order = !layout.fortran_order;
        layout.reversed = true;
    }
    return std::make_unique<StreamReader>(std::move(file), std::move(layout));
}

}  // namespace pruntrain
