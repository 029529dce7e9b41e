#include <doctest/doctest.h>
#include <hdf5.h>

#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "../support/temporary_folder.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/io/checksum.hpp"
#include "pruntrain/io/h5_file.hpp"
#include "pruntrain/io/sparse_matrix_h5.hpp"

using namespace pruntrain;

namespace {

using Sizes = std::vector<index_t>;

template <class T>
std::vector<T> random_values(std::size_t count) {
    const RandomStream random(1, Purpose::test);
    std::vector<T> values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(static_cast<T>(1e6 * random.normal(i)));
    return values;
}

template <class T>
void check_round_trip(const std::vector<T>& values, const Sizes& shape) {
    const TemporaryFolder folder;
    {
        H5File file = H5File::create(folder / "a.h5", 512);
        file.write<T>("array", values, shape);
        file.close();
    }
    const H5File file = H5File::open(folder / "a.h5");
    CHECK(file.shape("array") == shape);
    CHECK(file.read<T>("array") == values);
    file.verify<T>("array", values.size());
    CHECK(file.verified() == 2);
    CHECK(file.attribute<std::string>("array", "xxh3_64") == checksum(std::as_bytes(std::span(values))));
}

void write_something(const std::filesystem::path& path) {
    H5File file = H5File::create(path, 512);
    file.set_attribute("/", "step", index_t{3});
    file.create_group("group");
    file.set_attribute<std::string>("group", "word", "größer");
    file.write<float>("group/array", random_values<float>(5000), Sizes{50, 100});
    file.write_text("text", "a: 1\n");
    file.close();
}

/// What reading throws.
template <class Work>
std::string message_of(Work&& work) {
    try {
        work();
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("checksum: XXH3 as published, in any cut") {
    CHECK(checksum({}) == "2d06800538d394c2");  // XXH3_64bits of no bytes, seed 0 (xxhash's own test vector)
    const auto values = random_values<float>(1000);
    const auto bytes = std::as_bytes(std::span(values));
    Checksum pieces;
    for (std::size_t begin = 0; begin < bytes.size(); begin += 37)
        pieces.add(bytes.subspan(begin, std::min<std::size_t>(37, bytes.size() - begin)));
    CHECK(pieces.digits() == checksum(bytes));
    CHECK(pieces.digits() != checksum(bytes.first(bytes.size() - 1)));
}

TEST_CASE("h5_file: arrays of every type, size and chunking come back bit for bit") {
    check_round_trip(random_values<float>(1), {1});
    check_round_trip(random_values<double>(60), {3, 4, 5});
    check_round_trip(random_values<std::int32_t>(1001), {7, 143});
    check_round_trip(random_values<index_t>(1000), {1000});
    check_round_trip(random_values<float>(700'001), {700'001});         // several chunks, the last one shorter
    check_round_trip(random_values<float>(2 * 300'000), {2, 300'000});  // a row is longer than a chunk
    check_round_trip(random_values<double>(513 * 513), {513, 513});     // no chunk edge meets the array's
    check_round_trip(std::vector<float>(5'000'000), {5'000'000});
    check_round_trip(std::vector<std::int32_t>(5'000'000), {5'000'000});  // zeros: deflate's largest ratio
    check_round_trip(std::vector<float>{}, {0});
    check_round_trip(std::vector<double>{}, {0, 3});
}

TEST_CASE("h5_file: an array is verified by pieces whatever its chunks are") {
    const TemporaryFolder folder;
    const auto values = random_values<float>(3000 * 101);
    {
        H5File file = H5File::create(folder / "a.h5", 512);
        file.write<float>("chunks", values, Sizes{3000, 101});
        file.write<float>("one_row", values, Sizes{1, 3000 * 101});
        file.close();
    }
    {
        const hid_t file = H5Fopen((folder / "a.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
        const auto add = [&](const char* name, const std::vector<hsize_t>& shape, const std::vector<hsize_t>& chunk,
                             const std::vector<float>& numbers) {  // beside the checksum of values
            const int rank = static_cast<int>(shape.size());
            const hid_t space = H5Screate_simple(rank, shape.data(), nullptr), one = H5Screate(H5S_SCALAR);
            const auto size = static_cast<std::size_t>(H5Sget_simple_extent_npoints(space));
            const std::string sum = checksum(std::as_bytes(std::span(values).first(size)));
            const hid_t properties = H5Pcreate(H5P_DATASET_CREATE), text_type = H5Tcopy(H5T_C_S1);
            if (!chunk.empty()) H5Pset_chunk(properties, rank, chunk.data());
            H5Tset_size(text_type, sum.size());
            const hid_t array = H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
            REQUIRE(H5Dwrite(array, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data()) >= 0);
            const hid_t attribute = H5Acreate2(array, "xxh3_64", text_type, one, H5P_DEFAULT, H5P_DEFAULT);
            REQUIRE(H5Awrite(attribute, text_type, sum.data()) >= 0);
            H5Aclose(attribute);
            H5Dclose(array);
            H5Tclose(text_type);
            H5Pclose(properties);
            H5Sclose(one);
            H5Sclose(space);
        };
        add("one_piece", {3000, 101}, {}, values);
        add("columns", {3000, 101}, {3000, 1}, values);
        add("odd", {3000, 101}, {701, 30}, values);
        add("scalar", {}, {}, values);
        auto others = values;
        others.back() += 1;
        add("wrong", {3000, 101}, {701, 30}, others);
        H5Fclose(file);
    }
    const H5File file = H5File::open(folder / "a.h5");
    for (const char* name : {"chunks", "one_row", "one_piece", "columns", "odd"}) {
        CAPTURE(name);
        CHECK_NOTHROW(file.verify<float>(name, values.size()));
    }
    CHECK_NOTHROW(file.verify<float>("scalar", 1));
    CHECK(file.verified() == 6);
    CHECK(contains(message_of([&] { file.verify<float>("wrong", values.size()); }), "wrong: its checksum is "));
    CHECK(message_of([&] { file.verify<double>("odd", values.size()); }) == "odd: its values are not of type float64");
}

TEST_CASE("h5_file: some rows of an array, across chunks") {
    const TemporaryFolder folder;
    const auto values = random_values<float>(40 * 30000);
    {
        H5File file = H5File::create(folder / "a.h5", 512);
        file.write<float>("array", values, Sizes{40, 100, 300});
        file.write<float>("line", values, Sizes{40 * 30000});
        file.write<float>("nothing", {}, Sizes{0});
        file.close();
    }
    const H5File file = H5File::open(folder / "a.h5");
    const auto check = [&](const std::string& path, index_t first, std::size_t begin, std::size_t count) {
        std::vector<float> read(count);
        file.read_rows<float>(path, first, read);
        CHECK(std::equal(read.begin(), read.end(), values.begin() + static_cast<std::ptrdiff_t>(begin)));
    };
    for (const index_t first : {0, 7, 39})
        for (const index_t rows : {0, 1, 40 - static_cast<int>(first)}) {
            check("array", first, static_cast<std::size_t>(first) * 30000, static_cast<std::size_t>(rows) * 30000);
            check("line", first * 30000 + 11 * (first > 0), static_cast<std::size_t>(first * 30000 + 11 * (first > 0)),
                  static_cast<std::size_t>(rows) * 100);
        }
    check("array", 40, 0, 0);
    check("nothing", 0, 0, 0);
    CHECK(file.verified() == 2);  // all rows of the array, and nothing
    std::vector<float> read(30000);
    for (const index_t wrong : {-1, 40})
        CHECK(message_of([&] {
                  file.read_rows<float>("array", wrong, read);
              }).find("array: has 40 rows, not 30000 values from row ") == 0);
    CHECK_THROWS(file.read_rows<float>("array", 0, std::span(read).first(100)));
    CHECK_THROWS(file.read_rows<float>("nothing", 0, std::span(read).first(1)));
    std::vector<double> doubles(30000);
    CHECK_THROWS(file.read_rows<double>("array", 0, doubles));
}

TEST_CASE("h5_file: attributes, texts, names and links") {
    const TemporaryFolder folder;
    const std::vector<std::string> texts{"", "x", "größer als \"1\"\n", std::string(100'000, 'y')};
    {
        H5File file = H5File::create(folder / "a.h5", 512);
        file.set_attribute("/", "int", -7);
        file.set_attribute("/", "index", std::numeric_limits<index_t>::min());
        file.set_attribute("/", "unsigned", std::numeric_limits<std::uint64_t>::max());
        file.set_attribute("/", "infinite", -std::numeric_limits<double>::infinity());
        file.set_attribute("/", "nan", std::nan(""));
        file.set_attribute("/", "sizes", Sizes{3, 4});
        file.set_attribute("/", "no_sizes", Sizes{});
        file.set_attribute("/", "numbers", std::vector<double>{0.1, -0.0});
        for (std::size_t i = 0; i < texts.size(); ++i) {
            file.set_attribute("/", text("word", i), texts[i]);
            file.write_text(text("text", i), texts[i]);
        }
        for (const char* name : {"zebra", "ant", "mouse"}) file.create_group(name);
        file.write<double>("ant/numbers", std::array{1.0, 2.0}, Sizes{2});
        file.link("ant/same", "ant/numbers");
        file.close();
    }
    const H5File file = H5File::open(folder / "a.h5");
    CHECK(file.file_bytes() == std::filesystem::file_size(folder / "a.h5"));
    CHECK(file.attribute<int>("/", "int") == -7);
    CHECK(file.attribute<index_t>("/", "index") == std::numeric_limits<index_t>::min());
    CHECK(file.attribute<std::uint64_t>("/", "unsigned") == std::numeric_limits<std::uint64_t>::max());
    CHECK(file.attribute<double>("/", "infinite") == -std::numeric_limits<double>::infinity());
    CHECK(std::isnan(file.attribute<double>("/", "nan")));
    CHECK(file.attribute<Sizes>("/", "sizes") == Sizes{3, 4});
    CHECK(file.attribute<Sizes>("/", "no_sizes").empty());
    CHECK(file.attribute<std::vector<double>>("/", "numbers") == std::vector<double>{0.1, -0.0});
    for (std::size_t i = 0; i < texts.size(); ++i) {
        CHECK(file.attribute<std::string>("/", text("word", i)) == texts[i]);
        CHECK(file.read_text(text("text", i)) == texts[i]);
    }
    CHECK(file.names("/") == std::vector<std::string>{"text0", "text1", "text2", "text3", "zebra", "ant", "mouse"});
    CHECK(file.is_group("zebra"));
    CHECK_FALSE(file.is_group("ant/same"));
    CHECK(file.read<double>("ant/same") == std::vector{1.0, 2.0});
    CHECK(file.stored_bytes("ant/same") > 0);
}

TEST_CASE("h5_file: the same content is the same file, also a second later") {
    const TemporaryFolder folder;
    write_something(folder / "a.h5");
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5 counts times in seconds
    write_something(folder / "b.h5");
    CHECK(content_of(folder / "a.h5") == content_of(folder / "b.h5"));
}

TEST_CASE("h5_file: what cannot be read is named, with HDF5's reason") {
    const TemporaryFolder folder;
    write_something(folder / "a.h5");
    const H5File file = H5File::open(folder / "a.h5");
    const auto message = [&](auto&& work) { return message_of([&] { work(file); }); };
    CHECK(message([](const H5File& f) { f.read<float>("group/other"); }) ==
          "group/other: unable to open object: object 'other' doesn't exist");
    CHECK(message([](const H5File& f) { f.read<double>("group/array"); }) ==
          "group/array: its values are not of type float64");
    CHECK(message([](const H5File& f) { f.verify<float>("group/array", 4999); }) ==
          "group/array: has 5000 values, expected 4999");
    CHECK(message([](const H5File& f) { f.read_text("group/array"); }) == "group/array: is not a text of fixed length");
    CHECK(contains(message([](const H5File& f) { f.attribute<index_t>("/", "nothing"); }), "/ attribute nothing: "));
    CHECK(message([](const H5File& f) { f.attribute<double>("/", "step"); }) ==
          "/ attribute step: is not of type float64");
    CHECK(message([](const H5File& f) { f.attribute<index_t>("group", "word"); }) ==
          "group attribute word: is not of type int64");
    CHECK(message([](const H5File& f) { f.attribute<std::string>("/", "step"); }) ==
          "/ attribute step: is not of type text");
    CHECK(contains(message([](const H5File& f) { f.names("text"); }), "text: "));
    CHECK(message_of([&] {
              H5File::create(folder / "c.h5", 512).write<float>("x", std::array{1.0F, 2.0F}, Sizes{3});
          }) == "x: 8 bytes given for an array of 12");
    put_content(folder / "b.h5", "no HDF5 at all");
    CHECK(message_of([&] { H5File::open(folder / "b.h5"); }) == "file: unable to open file: file signature not found");
    CHECK(contains(message_of([&] { H5File::create(folder / "no/c.h5", 512); }), "file: unable to create file"));
}

TEST_CASE("h5_file: values that do not belong to their checksum, and arrays larger than their file") {
    const TemporaryFolder folder;
    write_something(folder / "a.h5");
    {
        const hid_t file = H5Fopen((folder / "a.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
        const hid_t array = H5Dopen2(file, "group/array", H5P_DEFAULT);
        const std::vector<float> others(5000, 1.0F);
        REQUIRE(H5Dwrite(array, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, others.data()) >= 0);
        H5Dclose(array);
        const hsize_t size = hsize_t{1} << 40, chunk = 1 << 20;  // 4 TiB of which nothing is stored
        const hid_t space = H5Screate_simple(1, &size, nullptr), properties = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(properties, 1, &chunk);
        H5Dclose(H5Dcreate2(file, "huge", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT));
        H5Pclose(properties);
        H5Sclose(space);
        H5Fclose(file);
    }
    const H5File file = H5File::open(folder / "a.h5");
    CHECK(contains(message_of([&] { file.read<float>("group/array"); }), "group/array: its checksum is "));
    CHECK(contains(message_of([&] { file.verify<float>("group/array", 5000); }), "group/array: its checksum is "));
    CHECK(file.verified() == 0);
    CHECK(message_of([&] { file.read<float>("huge"); }) ==
          "huge: claims 1099511627776 values, more than its 0 bytes in the file can hold");
    CHECK(contains(message_of([&] { read_tensor(file, "huge"); }), "huge: claims 1099511627776 values"));
}

TEST_CASE("h5_file: names that a terminal would obey are refused") {
    const TemporaryFolder folder;
    {
        H5File file = H5File::create(folder / "a.h5", 512);
        file.create_group("\x1B[2J");
        file.close();
    }
    CHECK(message_of([&] { H5File::open(folder / "a.h5").names("/"); }) ==
          "/: the name '?[2J' has control characters or is not UTF-8");
}

TEST_CASE("h5_file: numbers that are not in the file are not read") {
    const TemporaryFolder folder;
    write_something(folder / "a.h5");
    write_something(folder / "b.h5");
    put_content(folder / "raw", std::string(20'000, 'x'));
    {
        const hid_t file = H5Fopen((folder / "a.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
        H5Lcreate_external((folder / "b.h5").c_str(), "group", file, "other", H5P_DEFAULT, H5P_DEFAULT);
        const auto add = [&](const char* name, hsize_t size, auto set_storage) {
            const hid_t space = H5Screate_simple(1, &size, nullptr), properties = H5Pcreate(H5P_DATASET_CREATE);
            set_storage(properties, space);
            H5Dclose(H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT));
            H5Pclose(properties);
            H5Sclose(space);
        };
        add("raw", 5000,
            [&](hid_t properties, hid_t) { H5Pset_external(properties, (folder / "raw").c_str(), 0, H5F_UNLIMITED); });
        add("virtual", 5000, [&](hid_t properties, hid_t space) {
            const hsize_t shape[] = {50, 100};
            const hid_t source = H5Screate_simple(2, shape, nullptr);
            H5Pset_virtual(properties, space, (folder / "b.h5").c_str(), "/group/array", source);
            H5Sclose(source);
        });
        H5Fclose(file);
    }
    const H5File file = H5File::open(folder / "a.h5");
    CHECK(H5File::open(folder / "b.h5").read<float>("group/array").size() == 5000);
    for (const char* path : {"other", "other/array"}) {
        CHECK(contains(message_of([&] { file.read<float>(path); }), path));
        CHECK(contains(message_of([&] { file.names(path); }), path));
        CHECK(contains(message_of([&] { file.shape(path); }), path));
    }
    for (const char* path : {"raw", "virtual"}) {
        CHECK(contains(message_of([&] { file.read<float>(path); }), text(path, ": claims 5000 values, more than")));
        CHECK(contains(message_of([&] { file.shape(path); }), "claims 5000 values"));
    }
}

TEST_CASE("sparse_matrix_h5: patterns and values come back, with what other readers need") {
    const TemporaryFolder folder;
    const Pattern full(3, 4), sparse(3, 4, {0, 0, 4, 5}, {0, 1, 2, 3, 2}), empty(3, 4, {0, 0, 0, 0}, {});
    const std::vector<real> twelve = random_values<real>(12), five = random_values<real>(5);
    {
        H5File file = H5File::create(folder / "a.h5", 512);
        write_tensor(file, "full", "l.full", {3, 2, 2}, full, twelve);
        write_tensor(file, "sparse", "l.sparse", {3, 2, 2}, sparse, five);
        write_tensor(file, "empty", "l.empty", {3, 4}, empty, {});
        file.close();
    }
    const H5File file = H5File::open(folder / "a.h5");
    const auto check = [&](const char* path, const Sizes& shape, const Pattern& pattern, std::vector<real> values) {
        CAPTURE(path);
        const StoredTensor stored = read_tensor(file, path);
        CHECK(stored.tensor_shape == shape);
        CHECK(stored.pattern.rows() == 3);
        CHECK(stored.pattern.columns() == 4);
        CHECK(stored.pattern.full() == pattern.full());
        CHECK(stored.pattern.dense_positions() == pattern.dense_positions());
        CHECK(file.read<real>(pattern.full() ? path : text(path, "/values")) == values);
        verify_tensor_values(file, path, std::ssize(values));
        CHECK_THROWS(verify_tensor_values(file, path, std::ssize(values) + 1));
        const auto check_part = [&](index_t row, index_t rows, index_t column, index_t columns) {
            const auto [own, place] = read_tensor_part(file, path, row, rows, column, columns);
            std::vector<index_t> positions;
            std::vector<real> expected;
            pattern.for_each_position([&](index_t k, index_t position) {
                const index_t r = position / 4 - row, c = position % 4 - column;
                if (r < 0 || r >= rows || c < 0 || c >= columns) return;
                positions.push_back(r * columns + c);
                expected.push_back(values[static_cast<std::size_t>(k)]);
            });
            CHECK(own.dense_positions() == positions);
            std::vector<real> read(positions.size());
            read_part(file, path, own, place, read);
            CHECK(read == expected);
            if (!file.is_group(path)) return;
            for (std::size_t first = 0; first < read.size(); ++first) {  // a part of the part
                std::vector<real> some((read.size() - first + 1) / 2);
                read_part(file, std::string(path) + "/values", own, place, static_cast<index_t>(first), some);
                CHECK(std::equal(some.begin(), some.end(), expected.begin() + static_cast<index_t>(first)));
            }
        };
        for (index_t first = 0; first <= 3; ++first)
            for (index_t rows = 0; first + rows <= 3; ++rows) check_part(first, rows, 0, 4);
        for (index_t first = 0; first <= 4; ++first)
            for (index_t columns = 0; first + columns <= 4; ++columns) check_part(0, 3, first, columns);
        check_part(1, 2, 1, 3);
        CHECK_THROWS(read_tensor_part(file, path, 2, 2, 0, 4));
        CHECK_THROWS(read_tensor_part(file, path, 0, 3, 2, 3));
    };
    check("full", {3, 2, 2}, full, twelve);
    check("sparse", {3, 2, 2}, sparse, five);
    check("empty", {3, 4}, empty, {});
    CHECK(file.attribute<std::string>("full", "encoding-type") == "array");
    CHECK(file.attribute<std::string>("sparse", "encoding-type") == "csr_matrix");
    CHECK(file.read<real>("sparse/data") == five);
    CHECK(file.read<std::int32_t>("sparse/indices") == std::vector<std::int32_t>{0, 1, 2, 3, 2});
    CHECK(file.read<index_t>("sparse/indptr") == Sizes{0, 0, 4, 5});
    const auto json = nlohmann::json::parse(file.attribute<std::string>("sparse", "binsparse"));
    CHECK(json["format"] == "CSR");
    CHECK(json["shape"] == nlohmann::json::array({3, 4}));
    CHECK(json["number_of_stored_values"] == 5);
    CHECK(json["binsparse"]["version"] == "0.1");
    CHECK(json["pruntrain"]["tensor"] == "l.sparse");
}

TEST_CASE("sparse_matrix_h5: what is no matrix is named") {
    const TemporaryFolder folder;
    {
        H5File file = H5File::create(folder / "a.h5", 512);
        const auto put = [&](const std::string& path, const Sizes& tensor, const Sizes& shape, const Sizes& pointers,
                             const std::vector<std::int32_t>& indices) {
            file.create_group(path);
            file.write<index_t>(path + "/pointers_to_1", pointers, Sizes{static_cast<index_t>(pointers.size())});
            file.write<std::int32_t>(path + "/indices_1", indices, Sizes{static_cast<index_t>(indices.size())});
            file.set_attribute(path, "shape", shape);
            file.set_attribute(path, "tensor_shape", tensor);
        };
        put("order", {2, 3}, {2, 3}, {0, 2, 2}, {1, 0});
        put("range", {2, 3}, {2, 3}, {0, 0, 1}, {3});
        put("pointers", {2, 3}, {2, 3}, {0, 2, 1}, {0, 1});
        put("few", {2, 3}, {2, 3}, {0, 1}, {0});
        put("shape", {2, 3}, {3, 2}, {0, 0, 0, 0}, {});
        put("negative", {2, -3}, {2, -3}, {0, 0, 0}, {});
        put("wide", {2, index_t{1} << 40}, {2, index_t{1} << 40}, {0, 0, 0}, {});
        put("large", {index_t{1} << 62, 4}, {index_t{1} << 62, 4}, {0, 0, 0}, {});
        put("nothing", {}, {0, 0}, {0}, {});
        file.close();
    }
    const H5File file = H5File::open(folder / "a.h5");
    const auto message = [&](const char* path) { return message_of([&] { read_tensor(file, path); }); };
    CHECK(message("order") == "order: row 0 of a sparse matrix has column 0: columns must ascend and stay below 3");
    CHECK(message("range") == "range: row 1 of a sparse matrix has column 3: columns must ascend and stay below 3");
    CHECK(message("pointers") == "pointers: the row pointers of a sparse matrix do not ascend from 0 to its 2 values");
    CHECK(message("few") == "few: the row pointers of a sparse matrix do not ascend from 0 to its 1 values");
    CHECK(message("shape") == "shape: its shape is 3x2, a tensor of 2x3 needs 2x3");
    CHECK(message("negative") == "negative: the shape 2x-3 of a tensor is not valid");
    CHECK(contains(message("wide"), "is not valid"));
    CHECK(contains(message("large"), "is not valid"));
    CHECK(contains(message("nothing"), "is not valid"));
}
