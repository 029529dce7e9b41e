#include "pruntrain/io/h5_file.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <type_traits>

#include "h5_call.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/checksum.hpp"

namespace pruntrain {

using h5::check;
using h5::Handle;

namespace {

static_assert(std::endian::native == std::endian::little, "checksums cover little-endian bytes");

constexpr const char* checksum_attribute = "xxh3_64";

/// A chunk and HDF5's copies of it stay in a core's cache, and below the size from which malloc returns memory to the
/// system at once. With 1 MiB, page faults raise the CPU time of a checkpoint by 1.5x.
constexpr hsize_t chunk_bytes = 1 << 18;

/// The element type in files; the same as in memory, so no values are converted.
template <class T>
hid_t number_type() {
    if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
    else if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
    else if constexpr (std::is_same_v<T, std::int32_t>) return H5T_STD_I32LE;
    else if constexpr (std::is_same_v<T, index_t>) return H5T_STD_I64LE;
    else {
        static_assert(std::is_same_v<T, std::uint64_t>);
        return H5T_STD_U64LE;
    }
}

template <class T>
std::string number_name() {
    return text(std::is_floating_point_v<T> ? "float" : std::is_signed_v<T> ? "int" : "uint", 8 * sizeof(T));
}

/// Fixed length, UTF-8, padded with zeros. An empty text has length one, because HDF5 has no strings of length zero.
Handle text_type(std::size_t length) {
    Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "text");
    check(H5Tset_size(type, std::max<std::size_t>(1, length)), "text");
    check(H5Tset_cset(type, H5T_CSET_UTF8), "text");
    check(H5Tset_strpad(type, H5T_STR_NULLPAD), "text");
    return type;
}

std::string padded(const std::string& value) { return value.empty() ? std::string(1, '\0') : value; }

std::string without_padding(std::string value) {
    value.erase(value.find_last_not_of('\0') + 1);
    return value;
}

Handle file_access() {
    h5::prepare();
    Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "file access");
    check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "file access");
    check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "file access");
    return access;
}

void keep_order_and_no_times(hid_t properties) {
    check(H5Pset_link_creation_order(properties, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED), "creation order");
    check(H5Pset_obj_track_times(properties, false), "object times");
}

Handle link_properties() {
    Handle properties(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "link");
    check(H5Pset_char_encoding(properties, H5T_CSET_UTF8), "link");
    return properties;
}

/// Chunks of up to `chunk_bytes` that split the leading dimensions into near-equal parts.
std::vector<hsize_t> chunk_shape(const std::vector<hsize_t>& shape, hsize_t element_bytes) {
    std::vector<hsize_t> chunk(shape);
    for (auto& size : chunk) size = std::max<hsize_t>(1, size);
    hsize_t bytes = element_bytes;
    for (const hsize_t size : chunk) bytes *= size;
    for (auto& size : chunk) {
        const hsize_t one = bytes / size;
        const hsize_t most = std::clamp<hsize_t>(chunk_bytes / one, 1, size);
        const hsize_t parts = (size + most - 1) / most;
        size = (size + parts - 1) / parts;
        bytes = one * size;
    }
    return chunk;
}

/// Number of entries of the first dimension in a chunk, so that each chunk is read once; 1 if it has no chunks.
index_t rows_of_chunk(hid_t dataset, std::size_t dimensions, const std::string& path) {
    const Handle creation(H5Dget_create_plist(dataset), H5Pclose, path);
    if (H5Pget_layout(creation) != H5D_CHUNKED) return 1;
    std::vector<hsize_t> chunk(dimensions);
    check(H5Pget_chunk(creation, static_cast<int>(dimensions), chunk.data()), path);
    return static_cast<index_t>(chunk.front());
}

void write_attribute(hid_t object, const std::string& path, const std::string& name, hid_t type, hid_t space,
                     const void* data) {
    const std::string part = path + " attribute " + name;
    const Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, part);
    if (H5Sget_simple_extent_npoints(space) > 0) check(H5Awrite(attribute, type, data), part);
}

/// Reads the bytes of an attribute. `type` is the expected type; a text may have any length.
std::string read_attribute(hid_t object, const std::string& path, const std::string& name, hid_t type,
                           const std::string& type_name, std::uint64_t file_bytes) {
    const std::string part = path + " attribute " + name;
    const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, part);
    const Handle stored(H5Aget_type(attribute), H5Tclose, part);
    const Handle space(H5Aget_space(attribute), H5Sclose, part);
    const bool is_text = H5Tget_class(type) == H5T_STRING;
    const bool fits = is_text ? H5Tget_class(stored) == H5T_STRING && H5Tis_variable_str(stored) == 0 &&
                                    H5Sget_simple_extent_npoints(space) == 1
                              : H5Tequal(stored, type) > 0;
    if (!fits) fault(part, ": is not of type ", type_name);
    const auto points = static_cast<std::uint64_t>(check(H5Sget_simple_extent_npoints(space), part));
    const std::uint64_t one = H5Tget_size(stored);
    if (points > file_bytes / one) fault(part, ": claims ", points, " values of ", one, " bytes, more than the file");
    std::string bytes(points * one, '\0');
    check(H5Aread(attribute, stored, bytes.data()), part);
    return bytes;
}

}  // namespace

std::string h5::reason() {
    std::vector<std::string> words;  // from the call to the innermost cause
    H5Ewalk2(
        H5E_DEFAULT, H5E_WALK_DOWNWARD,
        [](unsigned, const H5E_error2_t* error, void* list) -> herr_t {
            static_cast<std::vector<std::string>*>(list)->emplace_back(error->desc == nullptr ? "" : error->desc);
            return 0;
        },
        &words);
    if (words.empty()) return "HDF5 gives no reason";
    return words.size() == 1 ? words.front() : words.front() + ": " + words.back();
}

namespace {

/// Rejects links to other files: the seal and the checksums cover one file only.
Handle links_inside() {
    Handle properties(H5Pcreate(H5P_LINK_ACCESS), H5Pclose, "links");
    const H5L_elink_traverse_t refuse = [](const char*, const char*, const char*, const char*, unsigned*, hid_t,
                                           void*) -> herr_t { return -1; };
    check(H5Pset_elink_cb(properties, refuse, nullptr), "links");
    return properties;
}

}  // namespace

struct H5File::State {
    Handle file;
    std::uint64_t file_bytes = 0;
    std::size_t verified = 0;
    Handle inside = links_inside();

    Handle object(const std::string& path) const { return {H5Oopen(file, path.c_str(), inside), H5Oclose, path}; }
    Handle dataset(const std::string& path) const {
        Handle opened = object(path);
        if (H5Iget_type(opened) != H5I_DATASET) fault(path, ": is not an array");
        return opened;
    }

    void write(const std::string& path, hid_t type, const std::vector<hsize_t>& shape,
               std::span<const std::byte> bytes) const;
    std::size_t points(hid_t dataset, const std::string& path) const;
    void compare(hid_t dataset, const std::string& path, const std::string& actual);
    void read(hid_t dataset, const std::string& path, hid_t type, std::span<std::byte> bytes);
    void verify(hid_t dataset, const std::string& path, hid_t type, const std::vector<index_t>& shape,
                std::size_t row_bytes);
};

void H5File::State::write(const std::string& path, hid_t type, const std::vector<hsize_t>& shape,
                          std::span<const std::byte> bytes) const {
    const hsize_t expected = std::accumulate(shape.begin(), shape.end(), hsize_t{H5Tget_size(type)}, std::multiplies());
    if (bytes.size() != expected) fault(path, ": ", bytes.size(), " bytes given for an array of ", expected);
    const auto chunk = chunk_shape(shape, H5Tget_size(type));
    std::vector<hsize_t> most(shape);  // HDF5 has no chunks of length zero, but extents may grow
    for (auto& size : most)
        if (size == 0) size = H5S_UNLIMITED;
    const int rank = static_cast<int>(shape.size());
    const Handle space(H5Screate_simple(rank, shape.data(), most.data()), H5Sclose, path);
    const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path);
    check(H5Pset_chunk(properties, rank, chunk.data()), path);
    if (H5Tget_class(type) !=
        H5T_FLOAT) {  // deflating weights saves one sixth but takes most of the time of a checkpoint
        check(H5Pset_shuffle(properties), path);
        check(H5Pset_deflate(properties, 1), path);  // higher levels are slower and do not compress better
    }
    check(H5Pset_fletcher32(properties), path);
    check(H5Pset_obj_track_times(properties, false), path);
    const Handle links = link_properties();
    const Handle dataset(H5Dcreate2(file, path.c_str(), type, space, links, properties, H5P_DEFAULT), H5Dclose, path);
    if (!bytes.empty()) check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), path);
    const std::string sum = checksum(bytes);
    const Handle one(H5Screate(H5S_SCALAR), H5Sclose, path);
    write_attribute(dataset, path, checksum_attribute, text_type(sum.size()), one, sum.data());
}

/// Number of elements, after a check that the file can hold them.
std::size_t H5File::State::points(hid_t dataset, const std::string& path) const {
    const Handle space(H5Dget_space(dataset), H5Sclose, path);
    const Handle type(H5Dget_type(dataset), H5Tclose, path);
    const auto points = static_cast<std::uint64_t>(check(H5Sget_simple_extent_npoints(space), path));
    if (points > h5::room_for(dataset, file_bytes, H5Tget_size(type), path))
        fault(path, ": claims ", points, " values, more than its ", H5Dget_storage_size(dataset),
              " bytes in the file can hold");
    return points;
}

/// Compares the checksum of the bytes that were read with the stored one.
void H5File::State::compare(hid_t dataset, const std::string& path, const std::string& actual) {
    const std::string stated = read_attribute(dataset, path, checksum_attribute, text_type(1), "text", file_bytes);
    if (actual != stated) fault(path, ": its checksum is ", actual, ", it should be ", stated);
    ++verified;
}

void H5File::State::read(hid_t dataset, const std::string& path, hid_t type, std::span<std::byte> bytes_read) {
    if (!bytes_read.empty()) check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes_read.data()), path);
    compare(dataset, path, checksum(bytes_read));
}

void H5File::State::verify(hid_t dataset, const std::string& path, hid_t type, const std::vector<index_t>& shape,
                           std::size_t row_bytes) {
    const index_t rows = shape.front(), of_chunk = rows_of_chunk(dataset, shape.size(), path);
    const index_t chunks = static_cast<index_t>(chunk_bytes / row_bytes) / of_chunk;
    const index_t at_once = std::min(rows, of_chunk * std::max<index_t>(1, chunks));
    std::vector<std::byte> piece(static_cast<std::size_t>(at_once) * row_bytes);
    Checksum sum;
    for (index_t first = 0; first < rows; first += at_once) {
        const index_t count = std::min(at_once, rows - first);
        check(h5::read_rows(dataset, type, shape, first, count, piece.data(), path), path);
        sum.add(std::span(piece).first(static_cast<std::size_t>(count) * row_bytes));
    }
    compare(dataset, path, sum.digits());
}

H5File::H5File(std::unique_ptr<State> state) : state_(std::move(state)) {}
H5File::H5File(H5File&&) noexcept = default;
H5File::~H5File() = default;

H5File H5File::create(const std::filesystem::path& file, std::uint64_t user_block_bytes) {
    const Handle access = file_access();
    // The default driver resolves the real name of a link; a file in memory has only the link /proc/self/fd/N.
    check(H5Pset_fapl_stdio(access), "file access");
    const Handle properties(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "file");
    check(H5Pset_userblock(properties, user_block_bytes), "user block");
    keep_order_and_no_times(properties);
    return H5File(
        std::make_unique<State>(State{{H5Fcreate(file.c_str(), H5F_ACC_TRUNC, properties, access), H5Fclose, "file"}}));
}

H5File H5File::open(const std::filesystem::path& file) {
    const Handle access = file_access();
    auto state = std::make_unique<State>(State{{H5Fopen(file.c_str(), H5F_ACC_RDONLY, access), H5Fclose, "file"}});
    hsize_t bytes = 0;
    check(H5Fget_filesize(state->file, &bytes), "file");
    state->file_bytes = bytes;
    return H5File(std::move(state));
}

void H5File::close() {
    check(H5Fflush(state_->file, H5F_SCOPE_GLOBAL), "file");
    state_->file.close("file");
}

void H5File::create_group(const std::string& path) {
    const Handle properties(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, path);
    keep_order_and_no_times(properties);
    const Handle links = link_properties();
    const Handle group(H5Gcreate2(state_->file, path.c_str(), links, properties, H5P_DEFAULT), H5Gclose, path);
}

void H5File::link(const std::string& path, const std::string& target) {
    const Handle links = link_properties();
    check(H5Lcreate_hard(state_->file, target.c_str(), state_->file, path.c_str(), links, H5P_DEFAULT), path);
}

bool H5File::is_group(const std::string& path) const { return H5Iget_type(state_->object(path)) == H5I_GROUP; }

std::vector<std::string> H5File::names(const std::string& path) const {
    const Handle group = state_->object(path);
    H5G_info_t info;
    check(H5Gget_info(group, &info), path);
    std::vector<std::string> names;
    for (hsize_t i = 0; i < info.nlinks; ++i) {
        const auto name_of = [&](char* name, std::size_t size) {
            return check(H5Lget_name_by_idx(group, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, i, name, size, H5P_DEFAULT),
                         path);
        };
        std::string name(static_cast<std::size_t>(name_of(nullptr, 0)), '\0');
        name_of(name.data(), name.size() + 1);
        if (!is_plain_text(name)) fault(path, ": the name '", shown(name), "' has control characters or is not UTF-8");
        names.push_back(name);
    }
    return names;
}

namespace {

template <class T>
struct ElementOf {
    using type = T;
};
template <class T>
struct ElementOf<std::vector<T>> {
    using type = T;
};

}  // namespace

template <class T>
void H5File::set_attribute(const std::string& path, const std::string& name, const T& value) {
    const Handle object = state_->object(path);
    const std::string part = path + " attribute " + name;
    if constexpr (std::is_same_v<T, std::string>) {
        const Handle one(H5Screate(H5S_SCALAR), H5Sclose, part);
        write_attribute(object, path, name, text_type(value.size()), one, padded(value).data());
    } else if constexpr (std::is_arithmetic_v<T>) {
        const Handle one(H5Screate(H5S_SCALAR), H5Sclose, part);
        write_attribute(object, path, name, number_type<T>(), one, &value);
    } else {
        const hsize_t size = value.size();
        const Handle many(H5Screate_simple(1, &size, nullptr), H5Sclose, part);
        write_attribute(object, path, name, number_type<typename T::value_type>(), many, value.data());
    }
}

template <class T>
T H5File::attribute(const std::string& path, const std::string& name) const {
    const Handle object = state_->object(path);
    if constexpr (std::is_same_v<T, std::string>) {
        return without_padding(read_attribute(object, path, name, text_type(1), "text", state_->file_bytes));
    } else {
        using Element = typename ElementOf<T>::type;
        const std::string bytes =
            read_attribute(object, path, name, number_type<Element>(), number_name<Element>(), state_->file_bytes);
        std::vector<Element> values(bytes.size() / sizeof(Element));
        std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
        if constexpr (!std::is_arithmetic_v<T>) return values;
        else {
            if (values.size() != 1) fault(path, " attribute ", name, ": has ", values.size(), " values, expected one");
            return values.front();
        }
    }
}

bool H5File::has_attribute(const std::string& path, const std::string& name) const {
    const htri_t found = H5Aexists(state_->object(path), name.c_str());
    if (found < 0) fault(path, ": cannot look for an attribute ", name);
    return found > 0;
}

template <class T>
void H5File::write(const std::string& path, std::span<const T> values, std::span<const index_t> shape) {
    const std::vector<hsize_t> sizes(shape.begin(), shape.end());
    state_->write(path, number_type<T>(), sizes, std::as_bytes(values));
}

namespace {

template <class T>
void check_type(hid_t dataset, const std::string& path) {
    const Handle type(H5Dget_type(dataset), H5Tclose, path);
    if (H5Tequal(type, number_type<T>()) <= 0) fault(path, ": its values are not of type ", number_name<T>());
}

}  // namespace

template <class T>
std::vector<T> H5File::read(const std::string& path) const {
    const Handle dataset = state_->dataset(path);
    check_type<T>(dataset, path);
    std::vector<T> values(state_->points(dataset, path));
    state_->read(dataset, path, number_type<T>(), std::as_writable_bytes(std::span(values)));
    return values;
}

template <class T>
void H5File::verify(const std::string& path, std::size_t values) const {
    const Handle dataset = state_->dataset(path);
    check_type<T>(dataset, path);
    const std::size_t points = state_->points(dataset, path);
    if (points != values) fault(path, ": has ", points, " values, expected ", values);
    if (values <= chunk_bytes / sizeof(T)) {  // also arrays without rows
        std::vector<T> all(values);
        return state_->read(dataset, path, number_type<T>(), std::as_writable_bytes(std::span(all)));
    }
    const std::vector<index_t> dimensions = shape(path);
    const std::size_t row = values / static_cast<std::size_t>(dimensions.front());
    state_->verify(dataset, path, number_type<T>(), dimensions, row * sizeof(T));
}

template <class T>
void H5File::read_rows(const std::string& path, index_t first, std::span<T> values) const {
    const Handle dataset = state_->dataset(path);
    check_type<T>(dataset, path);
    const std::size_t points = state_->points(dataset, path);
    if (first == 0 && points == values.size())
        return state_->read(dataset, path, number_type<T>(), std::as_writable_bytes(values));
    const std::vector<index_t> all = shape(path);
    const index_t stored_rows = all.empty() ? 0 : all.front();
    const auto row = static_cast<index_t>(points) / std::max<index_t>(1, stored_rows);
    const index_t rows = static_cast<index_t>(values.size()) / std::max<index_t>(1, row);
    if (static_cast<index_t>(values.size()) != rows * row || first < 0 || first + rows > stored_rows)
        fault(path, ": has ", stored_rows, " rows, not ", values.size(), " values from row ", first, " on");
    if (values.empty()) return;
    check(h5::read_rows(dataset, number_type<T>(), all, first, rows, values.data(), path), path);
}

void H5File::write_text(const std::string& path, const std::string& value) {
    const std::string stored = padded(value);
    state_->write(path, text_type(stored.size()), {1}, std::as_bytes(std::span(stored)));
}

std::string H5File::read_text(const std::string& path) const {
    const Handle dataset = state_->dataset(path);
    const Handle type(H5Dget_type(dataset), H5Tclose, path);
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || state_->points(dataset, path) != 1)
        fault(path, ": is not a text of fixed length");
    std::string value(H5Tget_size(type), '\0');
    state_->read(dataset, path, type, std::as_writable_bytes(std::span(value)));
    return without_padding(value);
}

std::vector<index_t> H5File::shape(const std::string& path) const {
    const Handle dataset = state_->dataset(path);
    const Handle space(H5Dget_space(dataset), H5Sclose, path);
    std::vector<hsize_t> sizes(check(H5Sget_simple_extent_ndims(space), path));
    check(H5Sget_simple_extent_dims(space, sizes.data(), nullptr), path);
    state_->points(dataset, path);
    return {sizes.begin(), sizes.end()};
}

std::uint64_t H5File::stored_bytes(const std::string& path) const { return H5Dget_storage_size(state_->dataset(path)); }

std::uint64_t H5File::file_bytes() const { return state_->file_bytes; }
std::size_t H5File::verified() const { return state_->verified; }

#define ATTRIBUTE(T)                                                                          \
    template void H5File::set_attribute<T>(const std::string&, const std::string&, const T&); \
    template T H5File::attribute<T>(const std::string&, const std::string&) const;
ATTRIBUTE(int)
ATTRIBUTE(index_t)
ATTRIBUTE(std::uint64_t)
ATTRIBUTE(double)
ATTRIBUTE(std::string)
ATTRIBUTE(std::vector<index_t>)
ATTRIBUTE(std::vector<double>)

#define ARRAY(T)                                                                                      \
    template void H5File::write<T>(const std::string&, std::span<const T>, std::span<const index_t>); \
    template std::vector<T> H5File::read<T>(const std::string&) const;                                \
    template void H5File::verify<T>(const std::string&, std::size_t) const;                           \
    template void H5File::read_rows<T>(const std::string&, index_t, std::span<T>) const;
ARRAY(float)
ARRAY(double)
ARRAY(std::int32_t)
ARRAY(index_t)

}  // namespace pruntrain
