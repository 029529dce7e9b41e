// What a rank reads ahead are the samples of its own slices in the step that follows.
#include <doctest/doctest.h>

#include <filesystem>

#include "../support/data_files.hpp"
#include "../support/shared_folder.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/train/batch_feed.hpp"

using namespace pruntrain;
using namespace pruntrain::test;
namespace fs = std::filesystem;

namespace {

constexpr index_t samples = 60, features = 3, global_batch = 12;

void write_files(const TemporaryFolder& folder) {
    std::vector<float> inputs;
    for (index_t i = 0; i < samples * features; ++i) inputs.push_back(static_cast<float>(i));
    const auto dictionary = [](const std::string& shape) {
        return "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
    };
    put_content(folder / "x.npy", npy_content(dictionary(text(samples, ", ", features)), bytes_of(inputs)));
    put_content(folder / "y.npy",
                npy_content(dictionary(text(samples, ",")), bytes_of(std::vector<float>(samples, 1.0F))));
}

/// All inputs of this rank's slices.
std::vector<real> inputs_of(const Batch& batch) {
    std::vector<real> all;
    for (const Slice& slice : batch.slices)
        all.insert(all.end(), slice.input, slice.input + Tiling{slice.samples, 8}.size(features));
    return all;
}

}  // namespace

TEST_CASE("batch feed: the samples of this rank's slices are read ahead; what cannot be read is no batch") {
    const Communicator world = Communicator::world();
    if (world.size() > 4) return;
    for (const bool ordered : {false, true}) {
        CAPTURE(ordered);
        const SharedFolder folder(world, write_files);
        const Config section = data_section(
            "format: npy, train_inputs: x.npy, train_targets: y.npy, validation_samples: "
            "0, normalize: none, directory: " +
            folder.path() + ", residency: disk");
        const Dataset dataset(section, world);
        const Sampler sampler(dataset.samples(Split::train), global_batch, 5);
        const Slices slices = ordered ? Slices(world, 4) : Slices(world);
        BatchFeed feed(dataset, sampler, slices, global_batch), twin(dataset, sampler, slices, global_batch);
        const std::vector<real> first = inputs_of(twin.batch(0, 8)), second = inputs_of(twin.batch(1, 8));
        feed.prepare(0, 8, 1);
        dataset.pause_reading();
        world.barrier();
        const fs::path file = fs::path(folder.path()) / "x.npy";
        if (world.is_root()) fs::resize_file(file, 100);
        world.barrier();
        CHECK(inputs_of(feed.batch(0, 8)) == first);
        CHECK(inputs_of(feed.batch(1, 8)) == second);  // was read ahead
        CHECK_THROWS(feed.batch(2, 8));
        CHECK_FALSE(feed.is_ready(1, 8));
        CHECK_FALSE(feed.is_ready(2, 8));
    }
}
