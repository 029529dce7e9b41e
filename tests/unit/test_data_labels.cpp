// What targets mean: labels that count from any number, one-hot rows, probabilities, and the classes of each split.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "../support/data_files.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/comm/communicator.hpp"
#include "pruntrain/data/dataset.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

struct Csv {
    TemporaryFolder folder;

    /// A data set of these lines; `keys` begins with a comma.
    Dataset open(const std::string& lines, const std::string& keys = "") const {
        put_content(folder / "a.csv", lines);
        return Dataset(data_section("format: csv, train_file: a.csv, directory: " + folder.path().string() + keys),
                       Communicator::world());
    }
    std::string error_of(const std::string& lines, const std::string& keys, index_t classes) const {
        return input_error_of([&] { open(lines, keys).check_classes(classes); });
    }
};

std::vector<float> targets_of(const Dataset& dataset, Split split) {
    std::vector<index_t> numbers(static_cast<std::size_t>(dataset.samples(split)));
    std::iota(numbers.begin(), numbers.end(), index_t{0});
    const Tiling tiling{dataset.samples(split), 8};
    std::vector<real> x(static_cast<std::size_t>(tiling.size(dataset.shape().size())));
    std::vector<float> targets(numbers.size() * static_cast<std::size_t>(dataset.target_width()));
    dataset.assemble(split, numbers, tiling, x.data(), targets.data());
    return targets;
}

/// One feature, then these labels.
std::string lines_of(const std::vector<std::string>& labels) {
    std::string lines;
    for (const auto& label : labels) lines += "1," + label + "\n";
    return lines;
}

}  // namespace

TEST_CASE("labels: first_class and labels map them to 0 .. K-1") {
    const Csv csv;
    const auto mapped = [&](const std::vector<std::string>& labels, const std::string& keys, index_t classes) {
        const Dataset dataset = csv.open(lines_of(labels), keys);
        dataset.check_classes(classes);
        return targets_of(dataset, Split::train);
    };
    CHECK(mapped({"1", "3", "2"}, ", first_class: 1", 3) == std::vector<float>{0, 2, 1});
    CHECK(mapped({"-2", "0"}, ", first_class: -2", 3) == std::vector<float>{0, 2});
    CHECK(mapped({"-1", "1", "1"}, ", labels: [-1, 1]", 2) == std::vector<float>{0, 1, 1});
    CHECK(mapped({"30", "10", "20"}, ", labels: [10, 20, 30]", 3) == std::vector<float>{2, 0, 1});
    CHECK(mapped({"0", "3", "2"}, ", labels: [0, 2, 3]", 4) == std::vector<float>{0, 2, 1});
    CHECK(mapped({"0.1", "0.7"}, ", labels: [0.7, 0.1]", 2) == std::vector<float>{1, 0});
}

TEST_CASE("labels: a label that is no class says which key accepts it") {
    const Csv csv;
    const auto error = [&](const std::vector<std::string>& labels, index_t classes, const std::string& keys = "") {
        return csv.error_of(lines_of(labels), keys, classes);
    };
    CHECK(contains(error({"1", "2", "3"}, 3),
                   "sample 2 (counted from 0) has the label 3: allowed are integers from 0 to 2, for the 3 classes of "
                   "the network; the files have labels from 1 to 3: set data.first_class to 1"));
    CHECK(contains(error({"1", "-1"}, 2), "set data.labels to [-1, 1]"));
    CHECK(contains(error({"1", "-1"}, 3), "set data.labels to [-1, 1]"));
    CHECK(contains(error({"0", "3", "2"}, 3), "set data.labels to [0, 2, 3]"));
    CHECK(contains(error({"10", "20"}, 2), "set data.labels to [10, 20]"));
    CHECK(contains(error({"0", "1", "2"}, 2), "give the last layer 3 outputs"));
    CHECK(contains(error({"1", "2", "3"}, 2), "give the last layer 3 outputs, and set data.first_class to 1"));
    CHECK(contains(error({"0.5", "2"}, 3), "has the label 0.5"));
    CHECK(contains(error({"0.5", "2"}, 3), "mean_squared_error"));
    CHECK(contains(error({"0", "1"}, 2, ", first_class: 1"), "has the label 0: allowed are integers from 1 to 2"));
    CHECK(contains(error({"0", "1"}, 2, ", first_class: 1"), "set data.first_class to 0"));
    CHECK(contains(error({"-1", "0"}, 2, ", labels: [-1, 1]"),
                   "has the label 0: allowed are those of data.labels, [-1, 1], for the 2 classes of the network; add "
                   "it to data.labels"));
    CHECK(contains(error({"1", "2"}, 1, ", labels: [1, 2]"), "data.labels lists 2 labels, but the network has 1"));
    CHECK(contains(error({"1"}, 2, ", labels: [1, 1]"), "lists the label 1 twice"));
    CHECK(contains(error({"1"}, 2, ", labels: [1, 2], first_class: 1"), "exclude each other"));
    CHECK(contains(input_error_of([&] { csv.open("1,2\n", ", first_class: 1").check_values(); }),
                   "data.first_class is for class labels"));
}

TEST_CASE("labels: more classes than the network has are named, and the loss of two classes is said") {
    const Csv csv;
    CHECK(
        contains(csv.error_of("1,x\n2,y\n3,z\n", "", 2),
                 "sample 2 (counted from 0) has the class 'z', number 3 of 3 classes (x, y, z), but the network has 2 "
                 "classes: give the last layer 3 outputs"));
    for (const std::string lines : {"1,x\n2,y\n3,z\n", "1,0\n2,1\n3,2\n"})
        CHECK(contains(input_error_of([&] { csv.open(lines).check_classes(2, 1); }),
                       "set train.loss to cross_entropy, and give the last layer 3 outputs"));
}

TEST_CASE("labels: words need no key for labels") {
    const Csv csv;
    for (const std::string key : {"first_class: 1", "labels: [1, 2]"}) {
        const std::string error = input_error_of([&] { csv.open("1,x\n2,y\n", ", " + key); });
        CHECK(contains(error, "data." + key.substr(0, key.find(':')) + " is for labels that are numbers, but the "));
        CHECK(contains(error, "are words (x, y): leave it out"));
    }
}

TEST_CASE("labels: one-hot rows are classes, other rows must be probabilities") {
    const Csv csv;
    Dataset one_hot = csv.open("5,0,0,1\n5,1,0,0\n5,0,1,0\n", ", target_columns: 3");
    CHECK(one_hot.target_width() == 3);
    one_hot.use_probabilities();
    CHECK(one_hot.target_width() == 1);
    CHECK(targets_of(one_hot, Split::train) == std::vector<float>{2, 0, 1});
    one_hot.check_classes(3);

    Dataset soft = csv.open("5,0.25,0.75\n5,1,0\n", ", target_columns: 2");
    soft.use_probabilities();
    CHECK(soft.target_width() == 2);
    CHECK(targets_of(soft, Split::train) == std::vector<float>{0.25, 0.75, 1, 0});

    const auto error = [&](const std::string& lines) {
        return input_error_of([&] { csv.open(lines, ", target_columns: 2").use_probabilities(); });
    };
    CHECK(contains(error("5,1,0\n5,1,1\n"), "a.csv': the targets of sample 1 (counted from 0) sum to 2"));
    CHECK(contains(error("5,0,0\n"), "sample 0 (counted from 0) sum to 0"));
    CHECK(contains(error("5,-1,2\n"), "have a negative value"));
    CHECK(contains(input_error_of([&] { csv.open("5,0,1\n", ", target_columns: 2, first_class: 1"); }),
                   "data.first_class is for one label per sample, but the targets have 2 values"));
}

TEST_CASE("labels: classes without a training sample and splits of one class have a warning") {
    const Csv csv;
    const auto notes = [&](const std::vector<std::string>& labels, const std::string& keys, index_t classes) {
        const auto all = csv.open(lines_of(labels), keys).notes(classes);
        return join(all, "|");
    };
    CHECK(notes({"0", "1", "2"}, "", 3) == "");
    CHECK(notes({"0", "1"}, "", 3) == "warning: no training sample has the label 2");
    CHECK(notes({"10", "20"}, ", labels: [10, 15, 20, 30]", 4) == "warning: no training sample has the labels 15, 30");
    CHECK(notes({"1", "1"}, "", 2) == "warning: all training samples have the label 1");
    CHECK(contains(notes({"0", "1", "0", "1"}, ", test_samples: 1", 2), "warning: all test samples have the label "));
    CHECK(contains(notes({"1700000000", "1700000001"}, "", 0), "warning: target 0 has mean 1.7e+09 and std 0"));
    CHECK(contains(notes({"2019", "2020", "2021"}, "", 0), "warning: target 0 has mean 2020"));
    CHECK(notes({"-3", "8", "2.5"}, "", 0) == "");
}

TEST_CASE("splits: shares of the training samples, rounded, and whole numbers") {
    const Csv csv;
    const std::string lines = lines_of(std::vector<std::string>(25, "0"));
    const auto sizes = [&](const std::string& keys) {
        const Dataset dataset = csv.open(lines, keys);
        return std::vector<index_t>{dataset.samples(Split::train), dataset.samples(Split::validation),
                                    dataset.samples(Split::test)};
    };
    CHECK(sizes(", validation_samples: 0.2, test_samples: 0.1") == std::vector<index_t>{17, 5, 3});
    CHECK(sizes(", validation_samples: 0.001, test_samples: 1") == std::vector<index_t>{23, 1, 1});
    CHECK(contains(input_error_of([&] { sizes(", validation_samples: 2.5"); }),
                   "is 2.5: allowed are whole numbers of samples, and shares below 1"));
    CHECK(contains(input_error_of([&] { sizes(", validation_samples: 0.5, test_samples: 0.5"); }),
                   "no training samples are left"));
}

TEST_CASE("splits: stratified ones have the classes in proportion, and every sample once") {
    const Csv csv;
    std::string lines;
    for (int n = 0; n < 100; ++n) lines += text(n, ",", n < 70 ? 0 : n < 95 ? 1 : 2, "\n");
    const std::string keys = ", normalization: none, validation_samples: 20, test_samples: 0.2, stratified: true";
    const Dataset dataset = csv.open(lines, keys);
    std::vector<std::vector<index_t>> counts;
    for (const Split split : {Split::train, Split::validation, Split::test}) {
        const auto targets = targets_of(dataset, split);
        counts.push_back({});
        for (const float one : {0.0F, 1.0F, 2.0F}) counts.back().push_back(std::ranges::count(targets, one));
    }
    CHECK(counts[1] == std::vector<index_t>{14, 5, 1});
    CHECK(counts[2] == std::vector<index_t>{14, 5, 1});
    CHECK(counts[0] == std::vector<index_t>{42, 15, 3});
    CHECK(targets_of(csv.open(lines, keys), Split::train) == targets_of(dataset, Split::train));
    CHECK(targets_of(csv.open(lines, keys + ", split_seed: 5"), Split::train) != targets_of(dataset, Split::train));

    // 4 of 6, 3 and 1 samples are 2.4, 1.2 and 0.4: of the equal largest remainders the first class gets the fourth.
    const auto few = targets_of(csv.open(lines_of({"0", "1", "0", "2", "0", "1", "0", "1", "0", "0"}),
                                         ", validation_samples: 4, stratified: true"),
                                Split::validation);
    CHECK(std::ranges::count(few, 0.0F) == 3);
    CHECK(std::ranges::count(few, 1.0F) == 1);

    std::string real_values;
    for (int n = 0; n < 30; ++n) real_values += text("1,", n * 0.37, "\n");
    CHECK(contains(input_error_of([&] { csv.open(real_values, ", validation_samples: 5, stratified: true"); }),
                   "the 30 training samples have 30 different targets: allowed are class labels"));
}
