// Wherever samples are, the same batches come out: every residency, on real and pretended nodes.
#include <doctest/doctest.h>

#include <chrono>
#include <cstring>
#include <numeric>
#include <optional>
#include <thread>

#include "../support/data_files.hpp"
#include "../support/h5_data.hpp"
#include "../support/shared_folder.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/comm/remote_window.hpp"
#include "pruntrain/data/dataset.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

constexpr index_t train_samples = 101, test_samples = 3;

void write_files(const TemporaryFolder& folder) {
    const RandomStream random(8, Purpose::test);
    const auto add = [&](const std::string& name, hsize_t samples, hsize_t chunk) {
        std::vector<float> floats;
        std::vector<std::uint8_t> bytes, labels;
        for (std::size_t i = 0; i < samples * 12; ++i) {
            floats.push_back(static_cast<float>(random.normal(i)));
            bytes.push_back(static_cast<std::uint8_t>(random.uniform(i) * 256));
        }
        for (std::size_t i = 0; i < samples; ++i) labels.push_back(static_cast<std::uint8_t>(i % 5));
        const std::string path = (folder / (name + ".h5")).string();
        write_h5(path, "floats", H5T_NATIVE_FLOAT, {samples, 3, 2, 2}, floats.data());
        write_h5(path, "bytes", H5T_NATIVE_UINT8, {samples, 4, 3}, bytes.data(), chunk);
        write_h5(path, "labels", H5T_NATIVE_UINT8, {samples}, labels.data());
    };
    add("train", train_samples, 7);
    add("test", test_samples, 2);
}

std::string keys_of(const std::string& inputs, const SharedFolder& folder) {
    return "format: hdf5, train_file: train.h5, test_file: test.h5, targets_path: labels, validation_samples: 17, "
           "directory: " +
           folder.path() + ", inputs_path: " + inputs;
}

/// All assembled numbers of some samples of a split.
std::string batch_of(const Dataset& dataset, Split split, const std::vector<index_t>& numbers) {
    const Tiling tiling{static_cast<index_t>(numbers.size()), 8};
    std::vector<real> x(static_cast<std::size_t>(tiling.size(dataset.shape().size())));
    std::vector<float> targets(numbers.size());
    dataset.assemble(split, numbers, tiling, x.data(), targets.data());
    return bytes_of(x) + bytes_of(targets);
}

std::vector<index_t> drawn(const Dataset& dataset, Split split, std::uint64_t batch, index_t count) {
    const RandomStream random(9, Purpose::test, 0, batch);
    std::vector<index_t> numbers;
    for (index_t i = 0; i < count; ++i)
        numbers.push_back(static_cast<index_t>(random.uniform(i) * static_cast<double>(dataset.samples(split))));
    return numbers;
}

/// Batches in the way of a trainer, other ones on every rank: prefetched, in parts, with others in between.
void check_same_batches(const Dataset& dataset, const Dataset& twin, int rank) {
    CHECK(bytes_of(dataset.normalization().mean) == bytes_of(twin.normalization().mean));
    CHECK(bytes_of(dataset.normalization().deviation) == bytes_of(twin.normalization().deviation));
    for (const Split split : {Split::train, Split::validation, Split::test}) {
        std::vector<index_t> all(static_cast<std::size_t>(dataset.samples(split)));
        std::iota(all.begin(), all.end(), index_t{0});
        CHECK(batch_of(dataset, split, all) == batch_of(twin, split, all));
    }
    for (index_t batch = 0; batch < 6 + rank % 3; ++batch) {
        const auto number = static_cast<std::uint64_t>(100 * rank + batch);
        const auto ahead = drawn(dataset, Split::train, number, 5 * batch), half = drawn(dataset, Split::train, 7, 4);
        dataset.prefetch(Split::train, ahead);
        if (batch % 3 == 1) dataset.pause_reading();
        if (batch % 2 == 0) {  // an evaluation
            const auto other = drawn(dataset, Split::validation, number, 9);
            CHECK(batch_of(dataset, Split::validation, other) == batch_of(twin, Split::validation, other));
        }
        const auto middle = ahead.begin() + static_cast<std::ptrdiff_t>(ahead.size() / 2);
        for (const std::vector<index_t>& part : {std::vector(ahead.begin(), middle), std::vector(middle, ahead.end())})
            CHECK(batch_of(dataset, Split::train, part) == batch_of(twin, Split::train, part));
        CHECK(batch_of(dataset, Split::train, half) == batch_of(twin, Split::train, half));
    }
}

void check_residencies(const Communicator& world, const SharedFolder& folder, const std::string& inputs,
                       const std::vector<int>& sizes) {
    const std::string keys = keys_of(inputs, folder);
    const Dataset twin(data_section(keys), world);
    const std::size_t sample_bytes = inputs == "bytes" ? 12 : 48, targets = (train_samples + test_samples) * 4;
    CHECK(twin.bytes_per_node() == (train_samples + test_samples) * sample_bytes + targets);
    for (const int ranks_of_node : sizes) {
        CAPTURE(ranks_of_node);
        const Communicator node = world.node().split(world.rank() / ranks_of_node);
        const index_t nodes = (world.size() + ranks_of_node - 1) / ranks_of_node;
        for (const std::string residency : {"node", "shard", "disk"}) {
            CAPTURE(residency);
            const Dataset dataset(data_section(keys + ", residency: " + residency), world, node);
            const auto largest =
                static_cast<std::size_t>((train_samples + nodes - 1) / nodes + (test_samples + nodes - 1) / nodes);
            CHECK(dataset.bytes_per_node() - targets == (residency == "node"    ? twin.bytes_per_node() - targets
                                                         : residency == "shard" ? largest * sample_bytes
                                                                                : 0));
            CHECK(dataset.residency() == residency);
            CHECK(dataset.reads_ahead() == (residency != "node"));
            check_same_batches(dataset, twin, world.rank());
        }
    }
}

}  // namespace

TEST_CASE("residency: the same batches, whatever the nodes") {
    const Communicator world = Communicator::world();
    const SharedFolder folder(world, write_files);
    for (const std::string inputs : {"floats", "bytes"}) check_residencies(world, folder, inputs, {1, 2, 3});
}

TEST_CASE("residency: ranks of a node that do not follow each other, formats without ranges, prefetched and left") {
    const Communicator world = Communicator::world();
    const Communicator node = world.node().split(world.rank() % 2);
    for (const std::string keys : {"format: synthetic, samples: 53, shape: [2, 3, 3], test_samples: 9",
                                   "format: synthetic, samples: 2, shape: 4, validation_samples: 1"}) {
        const Dataset twin(data_section(keys), world), shard(data_section(keys + ", residency: shard"), world, node);
        check_same_batches(shard, twin, world.rank());
        shard.prefetch(Split::train, std::vector<index_t>{0});
    }
}

TEST_CASE("residency: what disk cannot read is refused by all ranks alike") {
    const Communicator world = Communicator::world();
    const SharedFolder folder(world, [](const TemporaryFolder& own) {
        put_gz_content(own / "x.gz", idx_content({4, 2, 2}, "0123456789abcdef"));
        put_content(own / "y", idx_content({4}, "0101"));
        put_content(own / "a.csv", "1,0\n2,1\n");
    });
    const std::string in_folder = ", residency: disk, directory: " + folder.path();
    for (const std::string& keys :
         {"format: idx, train_inputs: x, train_targets: y, test_inputs: '', test_targets: ''" + in_folder,
          "format: csv, train_file: a.csv" + in_folder, std::string("format: synthetic, residency: disk")}) {
        const std::string error = input_error_of([&] { Dataset(data_section(keys), world); });
        CHECK(contains(error, "data.residency is disk"));
        CHECK(contains(error, "hdf5, and npy and idx without gzip"));
        CHECK(contains(error, "node or shard"));
    }
}

TEST_CASE("residency: a file that changes is a fault, also if it was read ahead") {
    const Communicator world = Communicator::world();
    for (const bool ahead : {false, true}) {
        const SharedFolder folder(world, write_files);
        const Dataset dataset(data_section(keys_of("floats", folder) + ", residency: disk"), world);
        batch_of(dataset, Split::train, {1, 2});
        world.barrier();
        if (world.is_root()) std::filesystem::resize_file(folder.path() + "/train.h5", 3000);
        world.barrier();
        if (ahead) dataset.prefetch(Split::train, std::vector<index_t>{3, 5});
        dataset.pause_reading();
        for (int again = 0; again < 2; ++again)
            CHECK_THROWS_WITH_AS(batch_of(dataset, Split::train, {3, 5}),
                                 doctest::Contains("the samples of a batch cannot be read: "), std::runtime_error);
    }
}

TEST_SUITE("many ranks") {
    TEST_CASE("residency: the same batches on many nodes") {
        const Communicator world = Communicator::world();
        const SharedFolder folder(world, write_files);
        check_residencies(world, folder, "bytes", {3});
    }

    TEST_CASE("remote window: random pieces, at other moments on every rank, beside sums") {
        const Communicator world = Communicator::world();
        const index_t own_bytes = 3000 + 7 * world.rank();  // rank r shows bytes r + 31 i, the last rank none
        std::vector<std::byte> own;
        const auto value = [](index_t rank, index_t i) { return static_cast<std::byte>(rank + 31 * i); };
        const bool last = world.rank() == world.size() - 1 && world.size() > 1;
        for (index_t i = 0; i < own_bytes && !last; ++i) own.push_back(value(world.rank(), i));
        if (world.size() == 1) return;  // no MPI needs windows for itself alone
        RemoteWindow window(world, own);
        const RandomStream random(10, Purpose::test, static_cast<std::uint32_t>(world.rank()));
        std::uint64_t drawn = 0;
        const auto below = [&](index_t end) { return static_cast<index_t>(random.uniform(drawn++) * end); };
        bool right = true;
        for (int step = 0; step < 30; ++step) {
            std::vector<float> values(5000, 1);
            Pending sum = world.start_all_reduce_sum(std::span(values));
            if (below(10) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            std::vector<std::array<index_t, 3>> pieces;
            std::vector<std::vector<std::byte>> got;
            for (index_t i = below(12); i > 0; --i) {
                const index_t rank = below(world.size() - 1), offset = below(3000), size = below(3001 - offset);
                pieces.push_back({rank, offset, size});
                got.emplace_back(static_cast<std::size_t>(size));
                window.start_get(static_cast<int>(rank), static_cast<std::size_t>(offset), got.back());
            }
            if (step % 3 == 0) sum.wait();
            window.finish();
            for (std::size_t i = 0; i < pieces.size(); ++i)
                for (index_t k = 0; k < pieces[i][2]; ++k)
                    right = right && got[i][static_cast<std::size_t>(k)] == value(pieces[i][0], pieces[i][1] + k);
            sum.wait();
        }
        CHECK(right);
    }
}
