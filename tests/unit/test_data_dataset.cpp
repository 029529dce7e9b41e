#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "../support/data_files.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/data/dataset.hpp"
#include "pruntrain/data/gather_tile.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

Dataset open_dataset(const std::string& keys) { return Dataset(data_section(keys), Communicator::world()); }

std::string error_of(const std::string& keys) {
    return input_error_of([&] { open_dataset(keys); });
}

/// A CSV file with one input that is the number of the sample, `samples` lines.
void write_numbered(const std::string& path, index_t samples) {
    std::string content;
    for (index_t n = 0; n < samples; ++n) content += text(n, ",", n % 3, "\n");
    put_content(path, content);
}

/// Feature `feature` of all samples of a split, in order.
std::vector<real> column(const Dataset& dataset, Split split, index_t feature) {
    std::vector<index_t> numbers(static_cast<std::size_t>(dataset.samples(split)));
    std::iota(numbers.begin(), numbers.end(), index_t{0});
    const Tiling tiling{dataset.samples(split), 16};
    const index_t features = dataset.shape().size();
    std::vector<real> x(static_cast<std::size_t>(tiling.size(features)));
    std::vector<float> targets(static_cast<std::size_t>(dataset.samples(split) * dataset.target_width()));
    dataset.assemble(split, numbers, tiling, x.data(), targets.data());
    std::vector<real> values;
    for (index_t n = 0; n < dataset.samples(split); ++n)
        values.push_back(x[(n / 16 * features + feature) * 16 + n % 16]);
    return values;
}

/// What assemble must give, number by number.
void check_against_twin(const Dataset& dataset, const Samples& stored, const std::vector<index_t>& numbers,
                        index_t width) {
    const Tiling tiling{static_cast<index_t>(numbers.size()), width};
    const index_t features = dataset.shape().size(), pixels = dataset.shape().pixels();
    const index_t target_width = dataset.target_width();
    constexpr real untouched = -12345;
    std::vector<real> x(static_cast<std::size_t>(tiling.size(features)) + 8, untouched);
    std::vector<float> targets(numbers.size() * static_cast<std::size_t>(target_width) + 1, untouched);
    dataset.assemble(Split::train, numbers, tiling, x.data(), targets.data());

    const auto& [mean, deviation] = dataset.normalization();
    double worst = 0;
    for (index_t tile = 0; tile < tiling.tiles(); ++tile)
        for (index_t feature = 0; feature < features; ++feature)
            for (index_t lane = 0; lane < width; ++lane) {
                const real value = x[(tile * features + feature) * width + lane];
                const index_t sample = tile * width + lane;
                if (sample >= tiling.samples) {
                    CHECK(value == 0);
                    continue;
                }
                const double original = stored.features[numbers[sample] * features + feature];
                const double m = mean.size() == 1 ? mean[0] : mean[feature / pixels];
                const double d = deviation.size() == 1 ? deviation[0] : deviation[feature / pixels];
                worst = std::max(worst, std::abs((original - m) / d - value));
            }
    // values of a few units, four float roundings of half an ulp each (mean, difference, scale, product)
    CHECK(worst < 4 * 8 * 6e-8);
    for (std::size_t i = 0; i < numbers.size(); ++i)
        for (index_t t = 0; t < target_width; ++t)
            CHECK(targets[i * target_width + t] == stored.targets[numbers[i] * target_width + t]);
    for (std::size_t i = x.size() - 8; i < x.size(); ++i) CHECK(x[i] == untouched);
    CHECK(targets.back() == untouched);
}

void check_sizes(const std::string& keys) {
    const Dataset dataset = open_dataset(keys);
    const Samples stored = read_part(keys);
    const RandomStream random(1, Purpose::test);
    for (const index_t width : {8, 16, 64})
        for (const index_t samples : {0, 1, 7, 8, 9, 64, 100, 131}) {
            std::vector<index_t> numbers;
            for (index_t i = 0; i < samples; ++i)
                numbers.push_back(static_cast<index_t>(random.uniform(i) * dataset.samples(Split::train)));
            check_against_twin(dataset, stored, numbers, width);
        }
}

}  // namespace

TEST_CASE("dataset: gather_tile against its formula, padding of the memory around it untouched") {
    const RandomStream random(3, Purpose::test);
    for (const index_t width : {8, 24, 64})
        for (const index_t features : {1, 5, 8, 33}) {
            std::vector<float> source(static_cast<std::size_t>(width * features));
            for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<float>(random.normal(i));
            std::vector<const float*> sources;
            for (index_t lane = 0; lane < width; ++lane) sources.push_back(&source[lane * features]);
            std::vector<real> mean, scale, tile(source.size() + 1, 99);
            for (index_t f = 0; f < features; ++f) {
                mean.push_back(static_cast<real>(random.normal(1000 + f)));
                scale.push_back(static_cast<real>(random.uniform(2000 + f)));
            }
            gather_tile(sources, mean, scale.data(), tile.data());
            for (index_t f = 0; f < features; ++f)
                for (index_t lane = 0; lane < width; ++lane)  // a fused multiply-add may round once less
                    CHECK(tile[f * width + lane] ==
                          doctest::Approx((source[lane * features + f] - mean[f]) * scale[f]).epsilon(3e-7));
            CHECK(tile.back() == 99);
        }
}

TEST_CASE("dataset: assemble against a twin, bytes and floats, uneven and empty batches") {
    const TemporaryFolder folder;
    std::string pixels;
    const RandomStream random(2, Purpose::test);
    for (index_t i = 0; i < index_t{90} * 3 * 5 * 3; ++i) pixels += static_cast<char>(random.bits(i)[0] & 0xFF);
    put_content(folder / "x", idx_content({90, 3, 5, 3}, pixels));
    put_content(folder / "y", idx_content({90}, std::string(pixels.begin(), pixels.begin() + 90)));
    check_sizes("format: idx, train_inputs: x, train_targets: y, test_inputs: '', test_targets: '', directory: " +
                folder.path().string());
    check_sizes("format: synthetic, samples: 90, shape: [2, 3, 3]");
    check_sizes("format: synthetic, samples: 90, shape: 7, normalization: none");
    check_sizes("format: synthetic, samples: 90, shape: [2, 3, 3], normalization: given, mean: [1, 2], std: 2");
}

TEST_CASE("dataset: splits are disjoint, complete and drawn by split_seed") {
    const TemporaryFolder folder;
    write_numbered(folder / "a.csv", 100);
    const std::string keys =
        "format: csv, train_file: a.csv, normalization: none, directory: " + folder.path().string();
    const std::string parts = ", validation_samples: 20, test_samples: 13";
    const Dataset dataset = open_dataset(keys + parts);
    CHECK(dataset.samples(Split::train) == 67);
    CHECK(dataset.samples(Split::validation) == 20);
    CHECK(dataset.samples(Split::test) == 13);
    std::set<real> seen;
    for (const Split split : {Split::train, Split::validation, Split::test})
        for (const real number : column(dataset, split, 0)) CHECK(seen.insert(number).second);
    CHECK(seen.size() == 100);
    CHECK(*seen.rbegin() == 99);

    const auto validation = column(dataset, Split::validation, 0);
    CHECK(column(open_dataset(keys + parts), Split::validation, 0) == validation);
    CHECK(column(open_dataset(keys + parts + ", split_seed: 1"), Split::validation, 0) != validation);
    CHECK(open_dataset(keys).samples(Split::train) == 100);
    CHECK(open_dataset(keys).samples(Split::validation) == 0);

    CHECK(contains(error_of(keys + ", validation_samples: 90, test_samples: 10"),
                   "no training samples are left, as the training files hold 100 samples"));
    CHECK(contains(error_of(keys + ", validation_samples: 9223372036854775807, test_samples: 9223372036854775807"),
                   "no training samples are left"));
    CHECK(error_of(keys + ", validation_samples: 89, test_samples: 10") == "");
}

TEST_CASE("dataset: test files are the test split") {
    const TemporaryFolder folder;
    write_numbered(folder / "a.csv", 30);
    put_content(folder / "b.csv", "-1,0\n-2,1\n");
    const std::string keys =
        "format: csv, train_file: a.csv, test_file: b.csv, normalization: none, directory: " + folder.path().string();
    const Dataset dataset = open_dataset(keys + ", validation_samples: 10");
    CHECK(dataset.samples(Split::train) == 20);
    CHECK(dataset.samples(Split::test) == 2);
    CHECK(column(dataset, Split::test, 0) == std::vector<real>{-1, -2});
    CHECK(dataset.bytes_per_node() == (30 + 2) * 2 * sizeof(float));
    CHECK(contains(error_of(keys + ", test_samples: 5"), "there are test files with 2 samples"));
    put_content(folder / "b.csv", "-1,0,1\n");
    CHECK(contains(error_of(keys),
                   "b.csv' has other columns than '" + (folder / "a.csv").string() + "': 3 instead of 2"));
}

TEST_CASE("dataset: measured normalisation gives the training split mean 0 and deviation 1 in each channel") {
    const std::string keys = "format: synthetic, samples: 500, shape: [3, 2, 2], validation_samples: 100";
    const Dataset dataset = open_dataset(keys);
    CHECK(dataset.normalization().mean.size() == 3);
    for (index_t channel = 0; channel < 3; ++channel) {
        double sum = 0, square = 0;
        for (index_t pixel = 0; pixel < 4; ++pixel)
            for (const real x : column(dataset, Split::train, channel * 4 + pixel)) {
                sum += x;
                square += double{x} * x;
            }
        CHECK(std::abs(sum / 1600) < 1e-6);  // a float's rounding, 6e-8 of values up to 4, over mean and product
        CHECK(std::abs(square / 1600 - 1) < 1e-6);
    }
}

TEST_CASE("dataset: a constant channel has deviation 1, a large mean keeps its digits, infinite inputs are refused") {
    const TemporaryFolder folder;
    const std::string keys = "format: csv, train_file: a.csv, directory: " + folder.path().string();
    std::string content;
    for (int n = 0; n < 999; ++n) content += text("0.1,", 16000000 + n % 2, ",0\n");
    put_content(folder / "a.csv", content);
    const Dataset dataset = open_dataset(keys);
    CHECK(dataset.normalization().mean[0] == double{0.1F});
    CHECK(dataset.normalization().deviation[0] == 1);
    CHECK(column(dataset, Split::train, 0)[5] == 0);
    CHECK(dataset.normalization().mean[1] == doctest::Approx(16000000 + 499.0 / 999).epsilon(1e-15));
    CHECK(dataset.normalization().deviation[1] == doctest::Approx(0.5).epsilon(1e-6));  // 0.5 - 5e-7 exactly

    const std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,1), }";
    put_content(folder / "x.npy", npy_content(dictionary, bytes_of(std::vector<float>{1, INFINITY})));
    const std::string of_npy =
        "format: npy, train_inputs: x.npy, train_targets: x.npy, directory: " + folder.path().string();
    CHECK(contains(error_of(of_npy), "x.npy': feature 0 of sample 1 (both counted from 0) is infinite"));
}

TEST_CASE("dataset: given normalisation") {
    const std::string keys = "format: synthetic, samples: 20, shape: [3, 2, 2], normalization: given";
    const auto normalization = open_dataset(keys + ", mean: [1, 2, 3], std: 4").normalization();
    CHECK(normalization.mean == std::vector<double>{1, 2, 3});
    CHECK(normalization.deviation == std::vector<double>{4});
    CHECK(contains(error_of(keys + ", mean: [1, 2], std: 4"), "one for each of 3 channels"));
    CHECK(contains(error_of(keys + ", mean: 1, std: [1, 1]"), "data.std"));
    CHECK(contains(error_of(keys + ", mean: 1, std: 0"), "data.std"));
    CHECK(contains(error_of(keys + ", std: 1"), "data.mean is missing"));
}

TEST_CASE("dataset: labels are checked in both parts") {
    const TemporaryFolder folder;
    const auto error_of_labels = [&](const std::string& train, const std::string& test) {
        put_content(folder / "a.csv", train);
        put_content(folder / "b.csv", test);
        const Dataset dataset =
            open_dataset("format: csv, train_file: a.csv, test_file: b.csv, directory: " + folder.path().string());
        return input_error_of([&] { dataset.check_classes(3); });
    };
    CHECK(error_of_labels("1,0\n1,2\n", "1,1\n") == "");
    CHECK(contains(error_of_labels("1,0\n1,3\n", "1,1\n"),
                   "a.csv': sample 1 (counted from 0) has the label 3: allowed are integers from 0 to 2"));
    CHECK(contains(error_of_labels("1,0\n", "1,1\n1,2\n1,-1\n"), "b.csv': sample 2 (counted from 0) has the label -1"));
    CHECK(contains(error_of_labels("1,0.5\n", "1,1\n"), "has the label 0.5"));
}

TEST_CASE("dataset: every key is described, unknown formats are named") {
    const Config config = Config::describing();
    Dataset::describe(config.section("data"));
    const std::string description = config.describe();
    for (const std::string key :
         {"data.format", "data.residency", "data.validation_samples", "data.test_samples", "data.split_seed",
          "data.normalization", "data.stratified", "data.first_class", "data.labels",
          "data.mean   (normalization: given)", "data.std   (normalization: given)", "data.directory   (format: idx)",
          "data.directory   (format: csv)", "data.train_inputs   (format: npy)", "data.inputs_path   (format: hdf5)",
          "data.noise   (format: synthetic)"})
        CHECK_MESSAGE(contains(description, key + "\n"), key);
    CHECK(contains(error_of("format: cvs"), "did you mean 'csv'?"));
    CHECK(contains(error_of("validation_samples: 3"), "data.format is missing"));
}

TEST_CASE("dataset: the resolved configuration gives the same data") {
    const Config config = Config::parse("data: {format: synthetic, samples: 40, shape: 4}", "test.yaml", {});
    const Dataset dataset(config.section("data"), Communicator::world());
    config.finish();
    const Config again = Config::parse(config.resolved(), "resolved.yaml", {});
    const Dataset same(again.section("data"), Communicator::world());
    again.finish();
    CHECK(column(same, Split::train, 3) == column(dataset, Split::train, 3));
}

TEST_CASE("dataset: words have the same class numbers in all files") {
    const TemporaryFolder folder;
    put_content(folder / "train.csv", "a,class\n1.5,setosa\n2,virginica\n3,versicolor\n4,setosa\n");
    put_content(folder / "test.csv", "a,class\n5,virginica\n6,setosa\n");  // lacks a class
    put_content(folder / "more.csv", "a,class\n5,virginica\n6,tulip\n");
    put_content(folder / "numbers.csv", "a,class\n5,1\n6,0\n");
    const std::string keys =
        "format: csv, normalization: none, directory: " + folder.path().string() + ", train_file: ";
    const auto targets_of = [](const Dataset& dataset, Split split) {
        std::vector<index_t> numbers(static_cast<std::size_t>(dataset.samples(split)));
        std::iota(numbers.begin(), numbers.end(), index_t{0});
        const Tiling tiling{dataset.samples(split), 16};
        std::vector<real> x(static_cast<std::size_t>(tiling.size(1)));
        std::vector<float> targets(numbers.size());
        dataset.assemble(split, numbers, tiling, x.data(), targets.data());
        return targets;
    };
    using Names = std::vector<std::string>;
    for (const std::string residency : {"node", "shard"}) {
        CAPTURE(residency);
        const Dataset sorted = open_dataset(keys + "train.csv, test_file: test.csv, residency: " + residency);
        CHECK(sorted.class_names() == Names{"setosa", "versicolor", "virginica"});
        CHECK(targets_of(sorted, Split::train) == std::vector<float>{0, 2, 1, 0});
        CHECK(targets_of(sorted, Split::test) == std::vector<float>{2, 0});
        const Dataset given = open_dataset(keys +
                                           "train.csv, test_file: test.csv, class_names: [virginica, x, setosa, "
                                           "versicolor], residency: " +
                                           residency);
        CHECK(given.class_names() == Names{"virginica", "x", "setosa", "versicolor"});
        CHECK(targets_of(given, Split::train) == std::vector<float>{2, 0, 3, 2});
        CHECK(targets_of(given, Split::test) == std::vector<float>{0, 2});
    }
    CHECK(open_dataset(keys + "numbers.csv").class_names().empty());
    CHECK(contains(
        error_of(keys + "train.csv, test_file: more.csv"),
        "more.csv' line 3 column 2 (class): the class 'tulip' is unknown: the classes are setosa, versicolor"));
    CHECK(
        contains(error_of(keys + "train.csv, class_names: [setosa, virginica]"), "the class 'versicolor' is unknown"));
    CHECK(contains(error_of(keys + "train.csv, test_file: numbers.csv"), "of the test files are numbers"));
    CHECK(contains(error_of(keys + "numbers.csv, test_file: test.csv"), "those of the training files are numbers"));
    CHECK(contains(error_of(keys + "numbers.csv, class_names: [a, a]"), "has 'a' twice"));
}
