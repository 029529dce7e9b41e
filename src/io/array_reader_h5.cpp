// A data set of an HDF5 file.
#include <filesystem>

#include "h5_call.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/io/array_reader.hpp"
#include "pruntrain/io/file_state.hpp"

namespace pruntrain {

namespace {

class H5Reader final : public ArrayReader {
   public:
    H5Reader(h5::Handle file, h5::Handle dataset, std::string source, std::vector<index_t> dimensions, bool holds_bytes,
             bool wide, index_t size_limit)
        : ArrayReader(std::move(source), std::move(dimensions), holds_bytes, size_limit),
          file_(std::move(file)),
          dataset_(std::move(dataset)),
          wide_(wide) {}

    void read_bytes(index_t first, index_t count, std::span<std::byte> numbers) override {
        read(first, count, H5T_NATIVE_UINT8, numbers.data());
    }
    void read_floats(index_t first, index_t count, std::span<float> numbers) override {
        read(first, count, H5T_NATIVE_FLOAT, numbers.data());
    }
    void read_doubles(index_t first, index_t count, std::span<double> numbers) override {
        read(first, count, H5T_NATIVE_DOUBLE, numbers.data());
    }
    bool is_wide() const override { return wide_; }

   private:
    void read(index_t first, index_t count, hid_t type, void* numbers) const {
        if (h5::read_rows(dataset_, type, dimensions(), first, count, numbers, source()) < 0)
            input_error(source(), " cannot be read: ", h5::reason());
        // HDF5 reads zeros where a file has been truncated.
        if (FileState::of(descriptor(file_)) != opened_) input_error(source(), FileState::changed);
    }

    static int descriptor(hid_t file) {
        void* descriptor = nullptr;
        h5::check(H5Fget_vfd_handle(file, H5P_DEFAULT, &descriptor), "descriptor of the file");
        return *static_cast<int*>(descriptor);
    }

    h5::Handle file_;
    h5::Handle dataset_;
    bool wide_;
    FileState opened_ = FileState::of(descriptor(file_));
};

}  // namespace

std::unique_ptr<ArrayReader> open_h5_dataset(const std::string& path, const std::string& name) {
    std::error_code error;
    const auto file_bytes = std::filesystem::file_size(path, error);
    if (error) input_error("cannot read '", path, "': ", error.message());

    h5::silence();
    // Without the sieve buffer, reading a sample of 784 bytes does not read 64 KiB around it (1.4 us instead of 4.8).
    const h5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, path);
    h5::check(H5Pset_sieve_buf_size(access, 0), path);
    const hid_t file_id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access);
    if (file_id < 0) input_error("cannot read '", path, "' as HDF5: ", h5::reason());
    h5::Handle file(file_id, H5Fclose, path);
    const std::string source = text("'", path, "' data set '", name, "'");
    const hid_t dataset_id = H5Dopen2(file, name.c_str(), H5P_DEFAULT);
    if (dataset_id < 0) input_error(source, " cannot be opened: ", h5::reason());
    h5::Handle dataset(dataset_id, H5Dclose, source);

    const h5::Handle type(H5Dget_type(dataset), H5Tclose, source);
    const H5T_class_t type_class = H5Tget_class(type);
    if (type_class != H5T_INTEGER && type_class != H5T_FLOAT)
        input_error(source, " is not numeric: allowed are integers and floating-point values");
    const bool holds_bytes = type_class == H5T_INTEGER && H5Tget_size(type) == 1 && H5Tget_sign(type) == H5T_SGN_NONE;
    const bool wide = H5Tget_size(type) > (type_class == H5T_INTEGER ? 2 : sizeof(float));

    const h5::Handle space(H5Dget_space(dataset), H5Sclose, source);
    std::vector<hsize_t> extents(static_cast<std::size_t>(h5::check(H5Sget_simple_extent_ndims(space), source)));
    h5::check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), source);
    const auto limit = static_cast<index_t>(h5::room_for(dataset, file_bytes, H5Tget_size(type), source));
    return std::make_unique<H5Reader>(std::move(file), std::move(dataset), source,
                                      std::vector<index_t>(extents.begin(), extents.end()), holds_bytes, wide, limit);
}

}  // namespace pruntrain
