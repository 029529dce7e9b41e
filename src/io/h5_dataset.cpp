#include "h5_dataset.hpp"

#include <unistd.h>

#include <array>
#include <limits>

#include "pruntrain/base/text.hpp"

namespace pruntrain::h5 {

namespace {

constexpr std::size_t most_names = 8;  // in a message

/// The names of the data sets in a file, or of the members of a group: "x, y, ..".
std::string names_in(hid_t group, bool all_levels) {
    std::vector<std::string> names;
    const H5L_iterate_t take = [](hid_t, const char* name, const H5L_info_t*, void* list) -> herr_t {
        auto& taken = *static_cast<std::vector<std::string>*>(list);
        taken.push_back(taken.size() == most_names ? ".." : shown(name));
        return taken.size() > most_names ? 1 : 0;
    };
    if (all_levels) H5Lvisit(group, H5_INDEX_NAME, H5_ITER_INC, take, &names);
    else H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, take, &names);
    return names.empty() ? "nothing" : join(names);
}

/// Where an external link leads: "'x' in 'other.h5'"; "" if it is none.
std::string external_target(hid_t file, const std::string& name) {
    H5L_info_t info;
    if (H5Lget_info(file, name.c_str(), &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_EXTERNAL) return "";
    std::vector<char> value(info.u.val_size);
    const char *other_file = nullptr, *other_name = nullptr;
    if (value.empty() || H5Lget_val(file, name.c_str(), value.data(), value.size(), H5P_DEFAULT) < 0 ||
        H5Lunpack_elink_val(value.data(), value.size(), nullptr, &other_file, &other_name) < 0)
        return "";
    return text("'", shown(other_name), "' in '", shown(other_file), "'");
}

/// The columns of a table, or the parts of a complex value.
std::string members_of(hid_t type) {
    std::vector<std::string> names;
    const int count = H5Tget_nmembers(type);
    for (int i = 0; i < count && names.size() <= most_names; ++i) {
        char* const name = H5Tget_member_name(type, static_cast<unsigned>(i));
        names.push_back(names.size() == most_names || name == nullptr ? ".." : shown(name));
        H5free_memory(name);
    }
    return join(names);
}

/// True if no value of an enumeration of signed bytes is negative, as of h5py's truth values.
bool has_no_negative(hid_t enumeration) {
    const int count = H5Tget_nmembers(enumeration);
    for (int i = 0; i < count; ++i) {
        signed char value = -1;  // of one byte, whatever its order
        if (H5Tget_member_value(enumeration, static_cast<unsigned>(i), &value) < 0 || value < 0) return false;
    }
    return count > 0;
}

std::string filter_name(H5Z_filter_t id, const std::array<char, 64>& stored) {
    constexpr std::array<std::pair<H5Z_filter_t, const char*>, 10> known{{{H5Z_FILTER_SZIP, "szip"},
                                                                          {307, "bzip2"},
                                                                          {32000, "lzf"},
                                                                          {32001, "blosc"},
                                                                          {32004, "lz4"},
                                                                          {32008, "bitshuffle"},
                                                                          {32013, "zfp"},
                                                                          {32015, "zstd"},
                                                                          {32017, "sz"},
                                                                          {32026, "blosc2"}}};
    for (const auto& [number, name] : known)
        if (number == id) return name;
    return stored.front() == '\0' ? "" : shown(stored.data());
}

/// Product of sizes, at most the largest integer.
std::uint64_t product(std::uint64_t one, std::uint64_t other) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    return other != 0 && one > most / other ? most : one * other;
}

/// Calls `take` with each filter of a data set and the name that the file has for it.
template <class Take>
void for_each_filter(hid_t creation, const Take& take) {
    const int count = H5Pget_nfilters(creation);
    for (int i = 0; i < count; ++i) {
        unsigned flags = 0, config = 0;
        std::size_t values = 0;
        std::array<char, 64> name{};
        const H5Z_filter_t id = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values, nullptr,
                                               name.size() - 1, name.data(), &config);
        if (id >= 0) take(id, name);
    }
}

/// True if the filters are those whose highest ratio `room_for` knows. Others may store a chunk in no bytes at all.
bool has_known_ratio(hid_t creation) {
    bool known = true;
    for_each_filter(creation, [&](H5Z_filter_t id, const auto&) {
        known &= id == H5Z_FILTER_DEFLATE || id == H5Z_FILTER_SHUFFLE || id == H5Z_FILTER_FLETCHER32 || id == 32000;
    });
    return known;
}

std::string fill_text(hid_t creation, hid_t type) {
    const H5T_class_t type_class = H5Tget_class(type);
    double value = 0;
    const bool is_number = type_class == H5T_INTEGER || type_class == H5T_FLOAT;
    if (!is_number || H5Pget_fill_value(creation, H5T_NATIVE_DOUBLE, &value) < 0) return "the fill value";
    return "the fill value " + exact(value);
}

}  // namespace

Handle open_dataset(hid_t file, const std::string& name, const std::string& source) {
    const hid_t dataset = H5Dopen2(file, name.c_str(), H5P_DEFAULT);
    if (dataset >= 0) return {dataset, H5Dclose, source};
    const std::string cause = reason();
    if (const std::string target = external_target(file, name); !target.empty())
        input_error(source, " cannot be opened: it is an external link to ", target, ", which cannot be read: ", cause);
    const hid_t group = H5Gopen2(file, name.c_str(), H5P_DEFAULT);
    if (group >= 0) {
        const Handle closed(group, H5Gclose, source);
        input_error(source, " cannot be opened: it is a group with ", names_in(group, false),
                    ": name a data set (data.inputs_path, data.targets_path)");
    }
    input_error(source, " cannot be opened: ", cause, "; the file has ", names_in(file, true),
                " (data.inputs_path, data.targets_path)");
}

std::vector<index_t> extents_of(hid_t dataset, const std::string& source) {
    const Handle space(H5Dget_space(dataset), H5Sclose, source);
    if (H5Sget_simple_extent_type(space) == H5S_NULL) input_error(source, " is empty: it has no elements");
    std::vector<hsize_t> extents(check(H5Sget_simple_extent_ndims(space), source));
    check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), source);
    constexpr hsize_t most = std::numeric_limits<index_t>::max();
    std::vector<index_t> result;
    for (const hsize_t extent : extents) result.push_back(static_cast<index_t>(std::min(extent, most)));
    return result;
}

StoredAs stored_as(hid_t dataset, const std::string& source) {
    const Handle type(H5Dget_type(dataset), H5Tclose, source);
    const std::size_t bytes = H5Tget_size(type);
    const H5T_class_t type_class = H5Tget_class(type);
    const auto of_integers = [&](bool is_unsigned) {
        if (bytes == 1 && is_unsigned) return StoredAs::bytes;
        return bytes <= 2 ? StoredAs::integers : StoredAs::wide_integers;
    };
    if (type_class == H5T_INTEGER) return of_integers(H5Tget_sign(type) == H5T_SGN_NONE);
    if (type_class == H5T_FLOAT) return bytes <= sizeof(float) ? StoredAs::floats : StoredAs::wide_floats;
    if (type_class == H5T_BITFIELD && bytes == 1) return StoredAs::bytes;  // truth values of PyTables
    if (type_class == H5T_ENUM) {
        const Handle base(H5Tget_super(type), H5Tclose, source);
        return of_integers(H5Tget_sign(base) == H5T_SGN_NONE || (bytes == 1 && has_no_negative(type)));
    }
    const std::string what =
        type_class == H5T_STRING ? "text: store class labels as integers, as with numpy.unique(labels, "
                                   "return_inverse=True)[1]"
        : type_class == H5T_COMPOUND
            ? text("records of ", members_of(type), ": store their columns as arrays, as with numpy.stack")
        : type_class == H5T_REFERENCE ? "references, as MATLAB writes a cell array: convert it with cell2mat"
        : type_class == H5T_VLEN      ? "lists of different lengths: store an array of one shape"
        : type_class == H5T_ARRAY     ? "arrays as elements: store one array with more dimensions"
                                      : "elements of another kind";
    input_error(source, " is not numeric: allowed are integers and floating-point values, but it holds ", what);
}

void check_storage(hid_t dataset, const std::string& path, const std::string& source) {
    const Handle creation(H5Dget_create_plist(dataset), H5Pclose, source);
    const std::string copy = "copy the values into one file, as with h5py: new['x'] = file['x'][...]";
    if (H5Pget_layout(creation) == H5D_VIRTUAL) {
        std::array<char, 256> name{};
        H5Pget_virtual_filename(creation, 0, name.data(), name.size() - 1);
        input_error(source, " is a virtual data set: its values are in other files, such as '", shown(name.data()),
                    "', where a missing file reads as zeros. Name these files, as data.train_file: [a.h5, b.h5], or ",
                    copy);
    }
    if (check(H5Pget_external_count(creation), source) > 0) {
        std::array<char, 256> name{};
        off_t offset = 0;
        hsize_t size = 0;
        H5Pget_external(creation, 0, name.size() - 1, name.data(), &offset, &size);
        input_error(source, " has its values in another file, '", shown(name.data()),
                    "', which HDF5 does not check: ", copy);
    }
    for_each_filter(creation, [&](H5Z_filter_t id, const auto& stored) {
        if (H5Zfilter_avail(id) > 0) return;
        const std::string name = filter_name(id, stored);
        input_error(source, " is compressed with the filter ", name.empty() ? "" : name + ", ", "number ", id,
                    ", which this HDF5 does not have: rewrite it where the filter is installed, with h5repack -f "
                    "GZIP=1 '",
                    path, "' new.h5, or set the environment variable HDF5_PLUGIN_PATH to the folder of its plugin");
    });
}

Room room_of(hid_t dataset, const std::vector<index_t>& extents, std::uint64_t file_bytes, const std::string& source) {
    const Handle creation(H5Dget_create_plist(dataset), H5Pclose, source);
    const Handle type(H5Dget_type(dataset), H5Tclose, source);
    const index_t in_file = room_for(dataset, file_bytes, H5Tget_size(type), source);
    std::uint64_t size = 1;
    for (const index_t extent : extents) size = product(size, static_cast<std::uint64_t>(extent));
    if (size == 0) return {in_file, ""};
    const std::string never = " was created, but never written: write its values, and close the file";
    if (H5Pget_layout(creation) != H5D_CHUNKED) {
        if (H5Dget_storage_size(dataset) == 0) input_error(source, never);
        return {in_file, ""};
    }

    std::vector<hsize_t> chunk(extents.size());
    check(H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), source);
    std::uint64_t chunks = 1, of_chunk = 1;
    for (std::size_t i = 0; i < chunk.size(); ++i) {
        const auto length = std::max<std::uint64_t>(1, chunk[i]);
        chunks = product(chunks, (static_cast<std::uint64_t>(extents[i]) - 1) / length + 1);
        of_chunk = product(of_chunk, length);
    }
    hsize_t written = 0;
    const Handle space(H5Dget_space(dataset), H5Sclose, source);
    check(H5Dget_num_chunks(dataset, space, &written), source);
    if (written == 0) input_error(source, never);
    const bool known = has_known_ratio(creation), complete = written >= chunks;
    if (known && std::min(size, product(written, of_chunk)) > static_cast<std::uint64_t>(in_file))
        input_error(source, " is truncated or its header is wrong: it announces ", crossed(extents),
                    " elements, but the file has room for ", in_file, " at most");
    if (known && complete) return {in_file, ""};

    const auto memory = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                        static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE)) / sizeof(float);
    const double unwritten = 100 * (1 - static_cast<double>(written) / static_cast<double>(chunks));
    const std::string part = complete ? ""
                                      : text(" ", grouped(static_cast<index_t>(chunks - written)), " of its ",
                                             grouped(static_cast<index_t>(chunks)), " chunks (",
                                             fixed(unwritten, unwritten > 99 ? 3 : 1), " %) were never written");
    if (size > memory)
        input_error(source, " announces ", crossed(extents), " elements, more than this machine has memory for (",
                    memory, ").", part.empty() ? "" : part + ":",
                    " store the samples that exist, as with h5py: ", "new['x'] = file['x'][:n]");
    return {static_cast<index_t>(memory),
            complete ? ""
                     : text(source, ":", part, ", and are read as ", fill_text(creation, type),
                            "; the samples that exist can be stored alone, as with h5py: new['x'] = file['x'][:n]")};
}

}  // namespace pruntrain::h5
