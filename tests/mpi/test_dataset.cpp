#include <doctest/doctest.h>

#include <cstring>
#include <numeric>

#include "../support/data_files.hpp"
#include "../support/shared_folder.hpp"
#include "pruntrain/data/dataset.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

/// FNV-1a (Fowler, Noll, Vo) over all assembled numbers of a split.
std::uint64_t hash_of(const Dataset& dataset, Split split) {
    const index_t samples = dataset.samples(split);
    const Tiling tiling{samples, 8};
    std::vector<index_t> numbers(static_cast<std::size_t>(samples));
    std::iota(numbers.begin(), numbers.end(), index_t{0});
    std::vector<real> x(static_cast<std::size_t>(tiling.size(dataset.shape().size())));
    std::vector<float> targets(static_cast<std::size_t>(samples * dataset.target_width()));
    dataset.assemble(split, numbers, tiling, x.data(), targets.data());
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&](const auto& values) {
        for (const std::byte byte : std::as_bytes(std::span(values)))
            hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
    };
    add(x);
    add(targets);
    return hash;
}

void check_same_on_all_ranks(const Communicator& world, std::uint64_t value) {
    for (const std::uint64_t other : world.all_gather(value)) CHECK(other == value);
}

/// All ranks must get an InputError with the same message.
std::string common_error_of(const Communicator& world, const std::function<void()>& work) {
    const std::string message = input_error_of(work);
    std::string of_root = message;
    world.broadcast_text(of_root);
    CHECK(message == of_root);
    return message;
}

}  // namespace

TEST_CASE("data set: all ranks see the same samples") {
    const Communicator world = Communicator::world();
    const SharedFolder folder(world, [](const TemporaryFolder& own) {
        std::string pixels;
        for (int i = 0; i < 60 * 12; ++i) pixels += static_cast<char>(i * i % 251);
        put_gz_content(own / "x.gz", idx_content({60, 3, 4}, pixels));
        put_content(own / "y", idx_content({60}, pixels.substr(0, 60)));
    });
    const std::string of_files =
        "format: idx, train_inputs: x, train_targets: y, test_inputs: '', test_targets: '', directory: " +
        folder.path() + ", validation_samples: 11, test_samples: 7";
    const Dataset dataset(data_section(of_files), world);
    for (const Split split : {Split::train, Split::validation, Split::test})
        check_same_on_all_ranks(world, hash_of(dataset, split));
    CHECK(hash_of(dataset, Split::train) != hash_of(dataset, Split::validation));

    const Dataset synthetic(data_section("format: synthetic, samples: 100, shape: [2, 3, 3], test_samples: 9"), world);
    check_same_on_all_ranks(world, hash_of(synthetic, Split::train));
    for (const double mean : synthetic.normalization().mean) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &mean, sizeof bits);
        check_same_on_all_ranks(world, bits);
    }
}

TEST_CASE("data set: all ranks fail alike") {
    const Communicator world = Communicator::world();
    const SharedFolder folder(world, [](const TemporaryFolder& own) {
        put_content(own / "bad.csv", "1,0\n2,zero\n");
        put_content(own / "good.csv", "1,0\n2,5\n");
    });
    const auto error_of = [&](const std::string& file, const std::string& keys) {
        const std::string all = "format: csv, train_file: " + file + ", directory: " + folder.path() + keys;
        return common_error_of(world, [&] { Dataset(data_section(all), world); });
    };
    CHECK(contains(error_of("missing.csv", ""), "missing.csv'"));         // when files are opened
    CHECK(contains(error_of("bad.csv", ""), "line 2 column 2: 'zero'"));  // when they are read
    CHECK(contains(error_of("good.csv", ", validation_samples: 2"), "no training samples are left"));
    CHECK(error_of("good.csv", "") == "");

    const Dataset dataset(data_section("format: csv, train_file: good.csv, directory: " + folder.path()), world);
    CHECK(contains(common_error_of(world, [&] { dataset.check_classes(3); }), "has the label 5"));
}
