#include "pruntrain/io/sparse_matrix_h5.hpp"

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"

namespace pruntrain {

namespace {

constexpr const char* value_type = std::is_same_v<real, float> ? "float32" : "float64";

/// Binsparse 0.1. Of its two readers the C library wants these keys inside an object "binsparse", the Python package
/// wants them outside: so they stand in both places.
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
    if (!good) fault(path, ": a tensor of shape ", crossed(tensor_shape), " cannot be");
    return {rows, columns};
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

StoredRows read_tensor_rows(const H5File& file, const std::string& path, index_t first_row, index_t rows) {
    const bool full = !file.is_group(path);
    const auto [all, columns] =
        matrix_shape(path, full ? file.shape(path) : file.attribute<std::vector<index_t>>(path, "tensor_shape"));
    if (first_row + rows > all) fault(path, ": has ", all, " rows, no ", rows, " rows from row ", first_row, " on");
    if (full) return {Pattern(rows, columns), first_row * columns};
    std::vector<index_t> pointers(static_cast<std::size_t>(rows) + 1);
    file.read_rows<index_t>(path + "/pointers_to_1", first_row, pointers);
    const index_t first = pointers.front(), kept = file.shape(path + "/indices_1").at(0);
    for (index_t& pointer : pointers) pointer -= first;
    if (pointers.back() < 0 || pointers.back() > kept)
        fault(path, ": rows ", first_row, " to ", first_row + rows, " have ", pointers.back(), " of ", kept,
              " weights");
    std::vector<std::int32_t> indices(static_cast<std::size_t>(pointers.back()));
    file.read_rows<std::int32_t>(path + "/indices_1", first, indices);
    return {Pattern(rows, columns, std::move(pointers), std::move(indices)), first};
}

void read_tensor_values(const H5File& file, const std::string& path, index_t first, std::span<real> values) {
    if (file.is_group(path)) return file.read_rows(path + "/values", first, values);
    file.read_rows(path, first / matrix_shape(path, file.shape(path))[1], values);
}

void read_tensor_values(const H5File& file, const std::string& path, std::span<real> values) {
    file.read(file.is_group(path) ? path + "/values" : path, values);
}

}  // namespace pruntrain
