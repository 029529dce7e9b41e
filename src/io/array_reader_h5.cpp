// A data set of an HDF5 file.
#include <algorithm>

#include "h5_dataset.hpp"
#include "other_format.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/io/array_reader.hpp"
#include "pruntrain/io/file_state.hpp"
#include "regular_file.hpp"
#include "strips.hpp"

namespace pruntrain {

namespace {

int descriptor_of(hid_t file) {
    void* descriptor = nullptr;
    h5::check(H5Fget_vfd_handle(file, H5P_DEFAULT, &descriptor), "descriptor of the file");
    return *static_cast<int*>(descriptor);
}

class H5Reader final : public ArrayReader {
   public:
    struct Content {
        h5::Handle file;  ///< the one that holds the data set: a link may lead to another file
        h5::Handle dataset;
        std::vector<index_t> extents;  ///< in the file
        StoredAs stored_as;
        h5::Room room;
    };
    H5Reader(Content content, std::string source, DimensionOrder order)
        : ArrayReader(std::move(source), in_order(content.extents, order), content.stored_as, content.room.elements),
          content_(std::move(content)),
          reversed_(order == DimensionOrder::reversed && content_.extents.size() > 1) {}

    void read_bytes(index_t first, index_t count, std::span<std::byte> numbers) override {
        const h5::Handle type(H5Dget_type(content_.dataset), H5Tclose, source());
        // HDF5 converts no bit fields.
        read(first, count, H5Tget_class(type) == H5T_BITFIELD ? H5T_NATIVE_B8 : H5T_NATIVE_UINT8, numbers);
    }
    void read_floats(index_t first, index_t count, std::span<float> numbers) override {
        if (!holds_bytes()) return read(first, count, H5T_NATIVE_FLOAT, numbers);
        read_from_bytes(first, count, numbers);
    }
    void read_doubles(index_t first, index_t count, std::span<double> numbers) override {
        if (!holds_bytes()) return read(first, count, H5T_NATIVE_DOUBLE, numbers);
        read_from_bytes(first, count, numbers);
    }

    std::string warning() const override { return content_.room.warning; }
    std::string why_sequential() const override {
        return reversed_ ? source() +
                               " is read with its dimensions reversed (store the samples first, and set "
                               "data.transposed to false)"
                         : "";
    }

   private:
    static std::vector<index_t> in_order(std::vector<index_t> extents, DimensionOrder order) {
        if (order == DimensionOrder::reversed) std::ranges::reverse(extents);
        return extents;
    }

    template <class Result>
    void read_from_bytes(index_t first, index_t count, std::span<Result> numbers) {
        std::vector<std::byte> bytes(numbers.size());
        read_bytes(first, count, bytes);
        std::ranges::transform(bytes, numbers.begin(),
                               [](std::byte byte) { return static_cast<Result>(std::to_integer<int>(byte)); });
    }

    template <class Result>
    void read(index_t first, index_t count, hid_t type, std::span<Result> numbers) const {
        if (reversed_) read_strips(first, count, type, numbers);
        else check(h5::read_rows(content_.dataset, type, dimensions(), first, count, numbers.data(), source()));
        // HDF5 reads zeros where a file has been truncated.
        if (FileState::of(descriptor_of(content_.file)) != opened_) input_error(source(), FileState::changed);
    }

    void check(herr_t status) const {
        if (status < 0) input_error(source(), " cannot be read: ", h5::reason());
    }

    /// Reads some rows of the first dimension in the file and some samples at a time: whole chunks where it has some.
    template <class Result>
    void read_strips(index_t first, index_t count, hid_t type, std::span<Result> numbers) const {
        constexpr index_t block = index_t{1} << 22;  // elements
        const Strips strips(dimensions());
        const auto& extents = content_.extents;
        const std::size_t rank = extents.size();
        const index_t rows = extents.front(), strips_of_row = strips.count() / rows;
        const auto chunk = chunk_of();
        const index_t most_samples = whole_chunks(std::clamp<index_t>(block / strips_of_row, 1, count), chunk.back());
        const index_t most_rows = whole_chunks(
            std::clamp<index_t>(block / strips_of_row / std::min(most_samples, count), 1, rows), chunk.front());
        std::vector<Result> piece;
        std::vector<hsize_t> begin(rank, 0), size(extents.begin(), extents.end());
        for (index_t n = 0; n < count; n += most_samples)
            for (index_t row = 0; row < rows; row += most_rows) {
                const index_t rows_here = std::min(most_rows, rows - row), here = std::min(most_samples, count - n);
                begin.front() = static_cast<hsize_t>(row);
                size.front() = static_cast<hsize_t>(rows_here);
                const index_t sample = first + n;
                begin.back() = static_cast<hsize_t>(sample);
                size.back() = static_cast<hsize_t>(here);
                piece.resize(rows_here * strips_of_row * here);
                check(h5::read_box(content_.dataset, type, begin, size, piece.data(), source()));
                strips.scatter(piece.data(), row * strips_of_row, rows_here * strips_of_row, here,
                               numbers.data() + n * strips.count());
            }
    }

    static index_t whole_chunks(index_t length, index_t chunk) { return std::max(index_t{1}, length / chunk) * chunk; }

    std::vector<index_t> chunk_of() const {
        const h5::Handle creation(H5Dget_create_plist(content_.dataset), H5Pclose, source());
        std::vector<hsize_t> chunk(content_.extents.size(), 1);
        if (H5Pget_layout(creation) == H5D_CHUNKED)
            h5::check(H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), source());
        std::vector<index_t> lengths;  // a chunk may be longer than the array
        for (std::size_t i = 0; i < chunk.size(); ++i)
            lengths.push_back(std::clamp<index_t>(static_cast<index_t>(chunk[i]), 1, content_.extents[i]));
        return lengths;
    }

    Content content_;
    bool reversed_;
    FileState opened_ = FileState::of(descriptor_of(content_.file));
};

}  // namespace

std::unique_ptr<ArrayReader> open_h5_dataset(const std::string& path, const std::string& name, DimensionOrder order) {
    regular_file(path);
    h5::prepare();
    // Without the sieve buffer, reading a sample of 784 bytes does not read 64 KiB around it (1.4 us instead of 4.8).
    const h5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, path);
    h5::check(H5Pset_sieve_buf_size(access, 0), path);
    const hid_t file_id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access);
    if (file_id < 0) input_error("cannot read '", path, "' as HDF5: ", h5::reason(), other_format(path));
    const h5::Handle file(file_id, H5Fclose, path);
    const std::string source = text("'", path, "' data set '", name, "'");
    h5::Handle dataset = h5::open_dataset(file, name, source);
    h5::Handle own_file(H5Iget_file_id(dataset), H5Fclose, source);
    hsize_t file_bytes = 0;
    h5::check(H5Fget_filesize(own_file, &file_bytes), source);

    const StoredAs stored_as = h5::stored_as(dataset, source);
    h5::check_storage(dataset, path, source);
    auto extents = h5::extents_of(dataset, source);
    auto room = h5::room_of(dataset, extents, file_bytes, source);
    return std::make_unique<H5Reader>(
        H5Reader::Content{std::move(own_file), std::move(dataset), std::move(extents), stored_as, std::move(room)},
        source, order);
}

}  // namespace pruntrain
