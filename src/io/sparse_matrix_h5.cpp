#include "pruntrain/io/sparse_matrix_h5.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr const char* value_type = std::is_same_v<real, float> ? "float32" : "float64";

/// Binsparse 0.1. Its C library reads these keys inside an object "binsparse", the Python package reads them outside:
/// they are written in both places.
std::string binsparse_text(const std::string& name, const std::vector<index_t>& tensor_shape, const Pattern& pattern) {
    using Json = nlohmann::ordered_json;
    const Json description{
        {"version", "0.1"},
        {"format", "CSR"},
        {"shape", Json::array({pattern.rows(), pattern.columns()})},
        {"number_of_stored_values", pattern.kept()},
        {"data_types", {{"pointers_to_1", "int64"}, {"indices_1", "int32"}, {"values", value_type}}}};
    Json all = description;
    all["binsparse"] = description;
    all["pruntrain"] = {{"tensor", name}, {"tensor_shape", tensor_shape}};
    return all.dump();
}

/// Rows and columns of a tensor's matrix.
std::array<index_t, 2> matrix_shape(const std::string& path, const std::vector<index_t>& tensor_shape) {
    index_t rows = 0, columns = 1, size = 0;
    bool good = !tensor_shape.empty();
    for (std::size_t i = 0; good && i < tensor_shape.size(); ++i) {
        if (i == 0) rows = tensor_shape[i];
        else good = !__builtin_mul_overflow(columns, tensor_shape[i], &columns);
        good = good && tensor_shape[i] > 0 && tensor_shape[i] < std::numeric_limits<index_t>::max();
    }
    good = good && columns <= std::numeric_limits<std::int32_t>::max() &&
           !__builtin_mul_overflow(rows + 1, columns, &size);  // + 1: there is one pointer more than rows
    if (!good) fault(path, ": the shape ", crossed(tensor_shape), " of a tensor is not valid");
    return {rows, columns};
}

/// Calls work(first row, last row + 1) for pieces of whole rows that are in memory at a time.
/// @param pointers  elements before each row
template <class Work>
void for_each_piece(std::span<const index_t> pointers, Work work) {
    constexpr index_t largest = index_t{1} << 20;  // elements, or one row
    const auto rows = std::ssize(pointers) - 1;
    for (index_t row = 0, last = 0; row < rows; row = last) {
        for (last = row + 1; last < rows && pointers[last + 1] - pointers[row] <= largest;) ++last;
        work(row, last);
    }
}

/// @param read  (index in the tensor, elements from there on); whole rows, or any elements if the part has whole rows
template <class Read>
void read_numbers(const Pattern& pattern, const StoredPlace& place, index_t first, std::span<real> numbers, Read read) {
    const auto end = first + std::ssize(numbers);
    if (pattern.kept() == place.pointers.back() - place.pointers.front())  // whole rows are contiguous
        return read(place.pointers.front() + first, numbers);
    std::vector<real> rows;
    for_each_piece(place.pointers, [&](index_t row, index_t last) {
        if (pattern.kept_before(last) <= first || pattern.kept_before(row) >= end) return;
        const index_t before = place.pointers[row];
        rows.resize(place.pointers[last] - before);
        read(before, std::span(rows));
        for (; row < last; ++row) {
            const index_t own = pattern.kept_before(row);
            const index_t from = std::max(first, own), to = std::min(end, pattern.kept_before(row + 1));
            if (from < to)
                std::copy_n(rows.begin() + (place.firsts[row] - before + from - own), to - from,
                            numbers.begin() + (from - first));
        }
    });
}

}  // namespace

void write_tensor(H5File& file, const std::string& path, const std::string& name,
                  const std::vector<index_t>& tensor_shape, const Pattern& pattern, std::span<const real> values) {
    if (pattern.full()) {
        file.write(path, values, tensor_shape);
        file.set_attribute<std::string>(path, "encoding-type", "array");
        file.set_attribute<std::string>(path, "encoding-version", "0.2.0");
        return;
    }
    const std::array pointers{pattern.rows() + 1}, kept{pattern.kept()};
    file.create_group(path);
    file.write<index_t>(path + "/pointers_to_1", pattern.row_pointers(), pointers);
    file.write<std::int32_t>(path + "/indices_1", pattern.column_indices(), kept);
    file.write(path + "/values", values, kept);
    file.link(path + "/indptr", path + "/pointers_to_1");
    file.link(path + "/indices", path + "/indices_1");
    file.link(path + "/data", path + "/values");
    file.set_attribute(path, "binsparse", binsparse_text(name, tensor_shape, pattern));
    file.set_attribute<std::string>(path, "encoding-type", "csr_matrix");
    file.set_attribute<std::string>(path, "encoding-version", "0.1.0");
    file.set_attribute(path, "shape", std::vector<index_t>{pattern.rows(), pattern.columns()});
    file.set_attribute(path, "tensor_shape", tensor_shape);
}

StoredTensor read_tensor(const H5File& file, const std::string& path) {
    StoredTensor tensor;
    if (!file.is_group(path)) {
        tensor.tensor_shape = file.shape(path);
        const auto [rows, columns] = matrix_shape(path, tensor.tensor_shape);
        tensor.pattern = Pattern(rows, columns);
        tensor.bytes = file.stored_bytes(path);
        return tensor;
    }
    tensor.tensor_shape = file.attribute<std::vector<index_t>>(path, "tensor_shape");
    const auto [rows, columns] = matrix_shape(path, tensor.tensor_shape);
    if (const auto shape = file.attribute<std::vector<index_t>>(path, "shape"); shape != std::vector{rows, columns})
        fault(path, ": its shape is ", crossed(shape), ", a tensor of ", crossed(tensor.tensor_shape), " needs ", rows,
              "x", columns);
    auto pointers = file.read<index_t>(path + "/pointers_to_1");
    auto indices = file.read<std::int32_t>(path + "/indices_1");
    try {
        tensor.pattern = Pattern(rows, columns, std::move(pointers), std::move(indices));
    } catch (const std::runtime_error& error) {
        fault(path, ": ", error.what());
    }
    for (const char* array : {"/pointers_to_1", "/indices_1", "/values"})
        tensor.bytes += file.stored_bytes(path + array);
    return tensor;
}

StoredPart read_tensor_part(const H5File& file, const std::string& path, index_t first_row, index_t rows,
                            index_t first_column, index_t columns) {
    const bool full = !file.is_group(path);
    const auto [all_rows, all_columns] =
        matrix_shape(path, full ? file.shape(path) : file.attribute<std::vector<index_t>>(path, "tensor_shape"));
    if (first_row + rows > all_rows || first_column + columns > all_columns)
        fault(path, ": has a matrix of ", all_rows, "x", all_columns, " and has no ", rows, "x", columns,
              " elements from row ", first_row, ", column ", first_column, " on");
    StoredPlace place;
    place.pointers.resize(static_cast<std::size_t>(rows) + 1);
    if (full) {
        for (index_t row = 0; row <= rows; ++row) place.pointers[row] = (first_row + row) * all_columns;
        for (index_t row = 0; row < rows; ++row) place.firsts.push_back(place.pointers[row] + first_column);
        return {Pattern(rows, columns), std::move(place)};
    }
    file.read_rows<index_t>(path + "/pointers_to_1", first_row, place.pointers);
    const index_t kept = file.shape(path + "/indices_1").at(0);
    if (place.pointers.front() < 0 || place.pointers.back() > kept || !std::ranges::is_sorted(place.pointers))
        fault(path, ": the rows ", first_row, " to ", first_row + rows, " begin at ", place.pointers.front(),
              " and end at ", place.pointers.back(), " of ", kept, " weights");
    std::vector<index_t> pointers{0};
    std::vector<std::int32_t> indices, of_rows;
    for_each_piece(place.pointers, [&](index_t row, index_t last) {
        of_rows.resize(place.pointers[last] - place.pointers[row]);
        file.read_rows<std::int32_t>(path + "/indices_1", place.pointers[row], of_rows);
        for (; row < last; ++row) {
            const auto end = of_rows.begin() + (place.pointers[row + 1] - place.pointers[last]) + std::ssize(of_rows);
            const auto begin = end - (place.pointers[row + 1] - place.pointers[row]);
            const auto own = std::lower_bound(begin, end, first_column);
            const auto own_end = std::lower_bound(own, end, first_column + columns);
            place.firsts.push_back(place.pointers[row] + (own - begin));
            for (auto index = own; index != own_end; ++index)
                indices.push_back(*index - static_cast<std::int32_t>(first_column));
            pointers.push_back(static_cast<index_t>(indices.size()));
        }
    });
    return {Pattern(rows, columns, std::move(pointers), std::move(indices)), std::move(place)};
}

void read_part(const H5File& file, const std::string& path, const Pattern& pattern, const StoredPlace& place,
               std::span<real> values) {
    if (file.is_group(path)) return read_part(file, path + "/values", pattern, place, 0, values);
    const index_t columns = matrix_shape(path, file.shape(path))[1];
    read_numbers(pattern, place, 0, values,
                 [&](index_t first, std::span<real> rows) { file.read_rows(path, first / columns, rows); });
}

void read_part(const H5File& file, const std::string& path, const Pattern& pattern, const StoredPlace& place,
               index_t first, std::span<real> numbers) {
    read_numbers(pattern, place, first, numbers,
                 [&](index_t from, std::span<real> some) { file.read_rows(path, from, some); });
}

void verify_tensor_values(const H5File& file, const std::string& path, index_t kept) {
    file.verify<real>(file.is_group(path) ? path + "/values" : path, static_cast<std::size_t>(kept));
}

}  // namespace pruntrain
