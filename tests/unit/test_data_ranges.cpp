// Samples read range by range are those of the whole file, for every format.
#include <doctest/doctest.h>

#include "../support/data_files.hpp"
#include "../support/h5_data.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/data/sample_store.hpp"
#include "pruntrain/io/array_reader.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

constexpr index_t samples = 37, features = 6;

template <class T>
std::vector<T> numbers_of(std::size_t count) {
    const RandomStream random(4, Purpose::test);
    std::vector<T> numbers;
    for (std::size_t i = 0; i < count; ++i) numbers.push_back(static_cast<T>(random.uniform(i) * 250));
    return numbers;
}

const std::vector<std::pair<index_t, index_t>> ranges{{0, 1},  {36, 1}, {5, 7},  {36, 1}, {0, 37},
                                                      {30, 7}, {1, 35}, {0, 20}, {17, 3}};  // forwards and back

void check_ranges(ArrayReader& reader) {
    std::vector<float> whole(static_cast<std::size_t>(reader.size())), part;
    const index_t entry = reader.size() / samples;
    reader.read_floats(0, samples, whole);
    for (const auto& [first, count] : ranges) {
        part.assign(static_cast<std::size_t>(count * entry), -1);
        reader.read_floats(first, count, part);
        CHECK(std::equal(part.begin(), part.end(), whole.begin() + first * entry));
        if (!reader.holds_bytes()) continue;
        std::vector<std::uint8_t> bytes(part.size());
        reader.read_bytes(first, count, std::as_writable_bytes(std::span(bytes)));
        CHECK(std::equal(bytes.begin(), bytes.end(), part.begin()));
    }
}

std::string npy_of(const std::string& type, const std::string& bytes) {
    return npy_content("{'descr': '" + type + "', 'fortran_order': False, 'shape': (37, 2, 3), }", bytes);
}

std::string idx_of_bytes() {
    const auto numbers = numbers_of<std::uint8_t>(samples * features);
    return idx_content({samples, 2, 3}, bytes_of(numbers));
}

}  // namespace

TEST_CASE("ranges: idx and npy, plain and compressed") {
    const TemporaryFolder folder;
    put_content(folder / "x", idx_of_bytes());
    put_gz_content(folder / "x.gz", idx_of_bytes());
    put_content(folder / "f4.npy", npy_of("<f4", bytes_of(numbers_of<float>(samples * features))));
    put_content(folder / "f8.npy", npy_of("<f8", bytes_of(numbers_of<double>(samples * features))));
    put_content(folder / "i8.npy", npy_of("<i8", bytes_of(numbers_of<std::int64_t>(samples * features))));
    put_content(folder / "u1.npy", npy_of("|u1", bytes_of(numbers_of<std::uint8_t>(samples * features))));
    for (const std::string name : {"x", "x.gz", "f4.npy", "f8.npy", "i8.npy", "u1.npy"}) {
        CAPTURE(name);
        const std::string path = (folder / name).string();
        const auto reader = name.ends_with(".npy") ? open_npy(path) : open_idx(path);
        CHECK(reader->reads_anywhere() == (name != "x.gz"));
        check_ranges(*reader);
    }
}

TEST_CASE("ranges: hdf5, in one piece and in compressed chunks that no range divides") {
    const TemporaryFolder folder;
    const std::string path = (folder / "a.h5").string();
    const auto floats = numbers_of<float>(samples * features);
    const auto doubles = numbers_of<double>(samples * features);
    const auto bytes = numbers_of<std::uint8_t>(samples * features);
    write_h5(path, "floats", H5T_NATIVE_FLOAT, {samples, features}, floats.data());
    write_h5(path, "doubles", H5T_NATIVE_DOUBLE, {samples, features}, doubles.data(), 5);
    write_h5(path, "bytes", H5T_NATIVE_UINT8, {samples, 2, 3}, bytes.data());
    write_h5(path, "chunks", H5T_NATIVE_UINT8, {samples, 2, 3}, bytes.data(), 4);
    write_h5(path, "flat", H5T_NATIVE_FLOAT, {samples}, floats.data());
    for (const std::string name : {"floats", "doubles", "bytes", "chunks", "flat"}) {
        CAPTURE(name);
        const auto reader = open_h5_dataset(path, name);
        CHECK(reader->reads_anywhere());
        check_ranges(*reader);
    }
}

TEST_CASE("ranges: csv and synthetic samples, and features or targets alone") {
    const TemporaryFolder folder;
    std::string content;
    for (index_t n = 0; n < samples; ++n) content += text(n, ",", n * n, ",", -n, "\n");
    put_content(folder / "a.csv", content);
    for (const std::string& keys :
         {"format: csv, train_file: a.csv, index_column: keep, directory: " + folder.path().string(),
          text("format: synthetic, noise: 0.3, shape: 5, samples: ", samples)}) {
        const Config section = data_section(keys);
        const auto source =
            data_formats().find(section.word("format", std::nullopt, ""))(section, {})->open(Part::train);
        CHECK_FALSE(source->reads_anywhere());
        const Samples whole = read_part(keys);
        const index_t size = whole.header.shape.size();
        for (const auto& [first, count] : ranges) {
            std::vector<float> x(static_cast<std::size_t>(count * size)), y(static_cast<std::size_t>(count));
            source->read(first, count, std::as_writable_bytes(std::span(x)), {});
            source->read(first, count, {}, y);
            CHECK(std::equal(x.begin(), x.end(), whole.features.begin() + first * size));
            CHECK(std::equal(y.begin(), y.end(), whole.targets.begin() + first));
        }
    }
}

TEST_CASE("ranges: a file that is cut off, longer or written anew while it is open is refused") {
    const TemporaryFolder folder;
    const auto floats = numbers_of<float>(samples * features);
    const auto path = folder / "x";
    const auto write = [&](const std::string& name) {
        std::filesystem::remove(path);
        if (name == "npy") put_content(path, npy_of("<f4", bytes_of(floats)));
        else write_h5(path.string(), "x", H5T_NATIVE_FLOAT, {samples, features}, floats.data());
    };
    const auto change = [&](int way) {
        const auto bytes = std::filesystem::file_size(path);
        if (way == 0) std::filesystem::resize_file(path, bytes - 8);
        if (way == 1) std::filesystem::resize_file(path, bytes + 1);
        if (way == 2) flip(path, bytes - 30, 1);
        if (way == 3) std::filesystem::resize_file(path, 0);
    };
    for (const std::string name : {"npy", "hdf5"})
        for (const int way : {0, 1, 2, 3}) {
            CAPTURE(name);
            CAPTURE(way);
            write(name);
            const auto reader = name == "npy" ? open_npy(path.string()) : open_h5_dataset(path.string(), "x");
            std::vector<float> numbers(features);
            reader->read_floats(3, 1, numbers);
            CHECK(numbers[0] == floats[3 * features]);
            change(way);
            const std::string error = input_error_of([&] { reader->read_floats(3, 1, numbers); });
            CHECK_MESSAGE((contains(error, "has changed since it was opened") || contains(error, "too short")), error);
            CHECK(contains(error, path.string()));
        }
    // One that another takes the place of stays readable.
    write("npy");
    const auto reader = open_npy(path.string());
    put_content(folder / "new", "something else");
    std::filesystem::rename(folder / "new", path);
    std::vector<float> numbers(features);
    reader->read_floats(36, 1, numbers);
    CHECK(numbers[0] == floats[36 * features]);
}

TEST_CASE("ranges: copies of samples are found by number, and neighbours are one range") {
    SampleCopies copies;
    copies.reset(Part::test, std::vector<index_t>{7, 3, 4, 7, 9, 8, 1}, 2);
    CHECK(copies.samples == std::vector<index_t>{1, 3, 4, 7, 8, 9});
    std::vector<index_t> seen;
    copies.for_each_range([&](index_t first, index_t count, std::span<std::byte> memory) {
        seen.insert(seen.end(), {first, count});
        for (std::size_t i = 0; i < memory.size(); ++i)
            memory[i] = static_cast<std::byte>(first + static_cast<index_t>(i / 2));
    });
    CHECK(seen == std::vector<index_t>{1, 1, 3, 2, 7, 3});
    std::vector<const std::byte*> places(4);
    REQUIRE(copies.find(Part::test, std::vector<index_t>{9, 1, 4, 9}, places));
    CHECK(*places[0] == std::byte{9});
    CHECK(*places[1] == std::byte{1});
    CHECK(*places[2] == std::byte{4});
    CHECK(places[3] == places[0]);
    CHECK_FALSE(copies.find(Part::test, std::vector<index_t>{1, 2}, places));
    CHECK_FALSE(copies.find(Part::train, std::vector<index_t>{1}, places));
}
