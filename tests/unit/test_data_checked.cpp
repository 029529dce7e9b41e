// Inputs and targets that are not finite are refused where they are; large offsets keep their digits.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "../support/data_files.hpp"
#include "../support/h5_data.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/data/dataset.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

constexpr index_t samples = 60;

template <class T>
const char* descr_of() {
    if (std::is_same_v<T, double>) return "<f8";
    if (std::is_same_v<T, float>) return "<f4";
    return sizeof(T) == 8 ? "<i8" : "<i4";
}

template <class T>
void put_npy(const std::filesystem::path& path, const std::vector<T>& numbers, index_t columns) {
    const auto rows = std::ssize(numbers) / columns;
    put_content(path, npy_content(text("{'descr': '", descr_of<T>(), "', 'fortran_order': False, 'shape': (", rows, ",",
                                       columns, "), }"),
                                  bytes_of(numbers)));
}

struct Files {
    TemporaryFolder folder;

    Files() { put_npy(folder / "y.npy", std::vector<double>(samples, 0), 1); }
    Dataset open(const std::string& keys = "", const std::string& inputs = "x.npy",
                 const std::string& targets = "y.npy") const {
        return Dataset(data_section("format: npy, train_inputs: " + inputs + ", train_targets: " + targets +
                                    ", directory: " + folder.path().string() + keys),
                       Communicator::world());
    }
    std::string error_of(const std::string& keys = "", const std::string& inputs = "x.npy",
                         const std::string& targets = "y.npy") const {
        return input_error_of([&] { open(keys, inputs, targets); });
    }
};

/// Feature `feature` of all training samples, in the order of the files.
std::vector<real> column(const Dataset& dataset, index_t feature) {
    std::vector<index_t> numbers(static_cast<std::size_t>(dataset.samples(Split::train)));
    std::iota(numbers.begin(), numbers.end(), index_t{0});
    const Tiling tiling{dataset.samples(Split::train), 8};
    const index_t features = dataset.shape().size();
    std::vector<real> x(static_cast<std::size_t>(tiling.size(features))), values;
    std::vector<float> targets(numbers.size());
    dataset.assemble(Split::train, numbers, tiling, x.data(), targets.data());
    for (index_t n = 0; n < tiling.samples; ++n)
        values.push_back(x[static_cast<std::size_t>((n / 8 * features + feature) * 8 + n % 8)]);
    return values;
}

/// Compares with normalization in double: the roundings of x - offset, mean, std and the product are below 4 ulp of 2.
void check_normalized(const Dataset& dataset, index_t feature, const std::vector<double>& original) {
    double mean = 0, variance = 0;
    for (const double x : original) mean += (x - original[0]) / static_cast<double>(original.size());
    for (const double x : original)
        variance += std::pow(x - original[0] - mean, 2) / static_cast<double>(original.size());
    const auto values = column(dataset, feature);
    double worst = 0;
    for (std::size_t n = 0; n < original.size(); ++n)
        worst = std::max(
            worst, std::abs((original[n] - original[0] - mean) / std::sqrt(variance) - static_cast<double>(values[n])));
    CHECK(worst < 1e-6);
    CHECK(dataset.normalization().mean[static_cast<std::size_t>(feature)] ==
          doctest::Approx(original[0] + mean).epsilon(1e-14));
    CHECK(dataset.normalization().deviation[static_cast<std::size_t>(feature)] ==
          doctest::Approx(std::sqrt(variance)).epsilon(1e-7));
}

template <class T>
void check_wide(const std::function<T(index_t)>& large) {
    const Files files;
    std::vector<T> numbers;
    std::vector<double> original, small;
    for (index_t n = 0; n < samples; ++n) {
        original.push_back(static_cast<double>(large(n)));
        small.push_back(static_cast<double>(n % 7));
        numbers.insert(numbers.end(), {large(n), static_cast<T>(n % 7)});
    }
    put_npy(files.folder / "x.npy", numbers, 2);
    for (const std::string residency : {"node", "shard", "disk"}) {
        CAPTURE(residency);
        const Dataset dataset = files.open(", residency: " + residency);
        check_normalized(dataset, 0, original);
        check_normalized(dataset, 1, small);
        CHECK(contains(dataset.notes(0)[0], "1 of 2 features of the inputs have a mean of more than 1024 std"));
    }
}

}  // namespace

TEST_CASE("checked source: double and integer inputs with a large offset keep their digits") {
    check_wide<double>([](index_t n) { return 1.7e9 + 0.1 * static_cast<double>(n); });  // time stamps
    check_wide<double>([](index_t n) { return -5.4e12 + static_cast<double>(n % 3); });
    check_wide<std::int64_t>([](index_t n) { return 10'000'000'000'000 + n; });  // ids
    check_wide<std::int32_t>([](index_t n) { return static_cast<std::int32_t>(2'000'000'000 + n); });
}

TEST_CASE("checked source: tables and HDF5 files, images and given normalization keep the digits too") {
    const Files files;
    const std::string directory = ", directory: " + files.folder.path().string();
    std::string table;
    std::vector<double> stamps, image;
    for (index_t n = 0; n < samples; ++n) {
        stamps.push_back(1.7e9 + 0.125 * static_cast<double>(n));
        table += text(exact(stamps.back()), ",", 2019 + n % 4, ",0\n");
        image.insert(image.end(), {1, static_cast<double>(n), stamps.back(), stamps.back()});
    }
    put_content(files.folder / "a.csv", table);
    const Dataset csv(data_section("format: csv, train_file: a.csv" + directory), Communicator::world());
    check_normalized(csv, 0, stamps);
    CHECK(contains(csv.notes(0)[0], "2 of 2 features"));  // years, too

    const std::string h5 = (files.folder / "a.h5").string();
    write_h5(h5, "inputs", H5T_NATIVE_DOUBLE, {samples, 2, 1, 2}, image.data());
    write_h5(h5, "targets", H5T_NATIVE_DOUBLE, {samples}, std::vector<double>(samples, 0).data());
    const Dataset hdf5(data_section("format: hdf5, train_file: a.h5" + directory), Communicator::world());
    CHECK(column(hdf5, 2) == column(csv, 0));
    CHECK(column(hdf5, 3) == column(csv, 0));

    const auto& [mean, deviation] = csv.normalization();
    const Dataset given(
        data_section(text("format: csv, train_file: a.csv, normalization: given, mean: [", exact(mean[0]), ", ",
                          exact(mean[1]), "], std: [", exact(deviation[0]), ", ", exact(deviation[1]), "]", directory)),
        Communicator::world());
    for (index_t feature = 0; feature < 2; ++feature) CHECK(column(given, feature) == column(csv, feature));
}

TEST_CASE("checked source: held-out samples do not count, and test files of float32 are shifted alike") {
    const Files files;
    std::vector<double> stamps;
    for (index_t n = 0; n < samples; ++n) stamps.push_back(1e9 + static_cast<double>(n * n));
    put_npy(files.folder / "x.npy", stamps, 1);
    put_npy(files.folder / "t.npy", std::vector<float>{1e9F}, 1);
    put_npy(files.folder / "u.npy", std::vector<double>{0}, 1);
    const Dataset dataset = files.open(", validation_samples: 20, test_inputs: t.npy, test_targets: u.npy");
    const auto values = column(dataset, 0);
    double sum = 0, squares = 0;
    for (const real value : values) sum += static_cast<double>(value), squares += static_cast<double>(value * value);
    CHECK(values.size() == 40);
    CHECK(std::abs(sum) < 1e-4);
    CHECK(squares == doctest::Approx(40).epsilon(1e-5));
    std::vector<real> x(8);
    std::vector<float> target(1);
    dataset.assemble(Split::test, std::vector<index_t>{0}, {1, 8}, x.data(), target.data());
    const auto& [mean, deviation] = dataset.normalization();
    CHECK(static_cast<double>(x[0]) == doctest::Approx((1e9 - mean[0]) / deviation[0]).epsilon(1e-6));
}

TEST_CASE("checked source: ordinary doubles are rounded to float32 first, as float32 files are") {
    const Files files;
    std::vector<double> doubles;
    for (index_t n = 0; n < samples; ++n) doubles.insert(doubles.end(), {100 + 0.37 * static_cast<double>(n), 0.1});
    put_npy(files.folder / "x.npy", doubles, 2);
    put_npy(files.folder / "floats.npy", std::vector<float>(doubles.begin(), doubles.end()), 2);
    const Dataset wide = files.open(), floats = files.open("", "floats.npy");
    CHECK(wide.notes(0).empty());
    CHECK(wide.normalization().mean == floats.normalization().mean);
    for (index_t feature = 0; feature < 2; ++feature) CHECK(column(wide, feature) == column(floats, feature));
}

TEST_CASE("checked source: NaN, infinity and values too large for float32 are refused with their place") {
    const Files files;
    const auto put = [&](double value, const std::string& name) {
        std::vector<double> numbers(samples * 2, 0.5);
        for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] += static_cast<double>(i % 5);
        numbers[17 * 2 + 1] = value;
        put_npy(files.folder / name, numbers, 2);
        put_npy(files.folder / ("float_" + name), std::vector<float>(numbers.begin(), numbers.end()), 2);
    };
    put(0, "good.npy");
    put(NAN, "nan.npy");
    put(-INFINITY, "infinite.npy");
    put(1e300, "large.npy");
    for (const std::string residency : {", residency: node", ", residency: shard"})
        for (const std::string normalization : {"", ", normalization: none"})
            for (const std::string type : {"", "float_"}) {
                const std::string keys = residency + normalization;
                CAPTURE(keys);
                CHECK(contains(files.error_of(keys, type + "nan.npy"),
                               type + "nan.npy': feature 1 of sample 17 (both counted from 0) is NaN"));
                CHECK(contains(files.error_of(keys, type + "infinite.npy"),
                               "sample 17 (both counted from 0) is minus inf"));
                CHECK(contains(files.error_of(keys, type + "large.npy"),
                               type.empty() ? "is 1e+300, too large for float32" : "is infinite"));
                const std::string test = ", test_targets: y.npy, test_inputs: " + type;
                CHECK(
                    contains(files.error_of(keys + test + "nan.npy", "good.npy"), "nan.npy': feature 1 of sample 17"));
                CHECK(files.error_of(keys + test + "good.npy", "good.npy") == "");
            }
    // From disk: training samples when they are measured, others when they are read.
    CHECK(contains(files.error_of(", residency: disk", "nan.npy"), "nan.npy': feature 1 of sample 17"));
    const Dataset dataset = files.open(", residency: disk, test_targets: y.npy, test_inputs: nan.npy", "good.npy");
    std::vector<real> x(16);
    std::vector<float> target(1);
    CHECK_NOTHROW(dataset.assemble(Split::test, std::vector<index_t>{16}, {1, 8}, x.data(), target.data()));
    CHECK_THROWS_WITH_AS(dataset.assemble(Split::test, std::vector<index_t>{17}, {1, 8}, x.data(), target.data()),
                         doctest::Contains("nan.npy': feature 1 of sample 17"), std::runtime_error);
}

TEST_CASE("checked source: a missing target is refused, whatever the residency") {
    const Files files;
    put_npy(files.folder / "x.npy", std::vector<float>(samples, 1), 1);
    std::vector<float> targets(samples * 2, 1);
    targets[9] = NAN;
    put_npy(files.folder / "t.npy", targets, 2);
    for (const std::string residency : {"node", "shard", "disk"})
        CHECK(contains(files.error_of(", residency: " + residency, "x.npy", "t.npy"),
                       "t.npy': target 1 of sample 4 (both counted from 0) is NaN (a missing value)"));
}
