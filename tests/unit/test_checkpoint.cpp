#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>

#include "../support/temporary_folder.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/base/random.hpp"
#include "pruntrain/io/h5_file.hpp"
#include "pruntrain/io/sealed_file.hpp"
#include "pruntrain/run/checkpoint.hpp"

using namespace pruntrain;
namespace fs = std::filesystem;

namespace {

constexpr const char* small_model = R"(
model:
  - {layer: conv2d, channels: 3, kernel: 3}
  - {layer: batch_norm}
  - {layer: relu}
  - {layer: flatten}
  - {layer: dense, units: 6, name: hidden}
  - {layer: relu}
  - {layer: dense, units: 3}
)";

std::unique_ptr<Network> make_network(const std::string& yaml, const Shape& input = {1, 4, 4}) {
    auto network = std::make_unique<Network>(Config::parse(yaml, "test.yaml", {}).list("model"), input);
    network->initialize(7);
    return network;
}

/// Removes the first row of `hidden.weight`, keeps its second, and of the others a half; removes all of the last
/// weight.
void prune(Network& network) {
    std::vector<std::vector<std::uint8_t>> keep;
    for (const auto* parameter : network.arena().parameters()) {
        keep.emplace_back();
        if (!parameter->prunable) continue;
        const auto positions = parameter->pattern.dense_positions();
        for (const index_t position : positions) {
            const index_t row = position / parameter->pattern.columns();
            const bool half = position * 7 % 5 < 3;
            keep.back().push_back(parameter->layer == "dense2" ? 0 : row == 0 ? 0 : row == 1 ? 1 : half);
        }
    }
    network.arena().keep(keep);
}

void fill(std::span<real> values, std::uint64_t first) {
    const RandomStream random(3, Purpose::test);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<real>(random.normal(first + i));
}

/// A network in the middle of a training, with numbers that only a copy of bits keeps.
std::unique_ptr<Network> trained_network() {
    auto network = make_network(small_model);
    network->arena().create_slots({"first_moment", "second_moment"});
    prune(*network);
    fill(network->arena().values(), 0);
    fill(network->arena().slot(0), 1000);
    fill(network->arena().slot(1), 2000);
    network->arena().values()[0] = -real{0};
    network->arena().values()[1] = std::numeric_limits<real>::denorm_min();
    network->arena().values()[2] = std::numeric_limits<real>::quiet_NaN();
    network->arena().slot(0)[5] = std::numeric_limits<real>::infinity();
    std::uint64_t first = 3000;
    for (auto& [layer, statistic] : network->statistics()) fill(statistic->values, first += 100);
    return network;
}

RunState some_state() {
    RunState state;
    state.class_names = {"setosa", "K\xC3\xB6ln, \"west\"", "b"};
    state.step = 1234;
    state.epoch = 1.0 / 3;
    state.seconds = 12.5;
    state.loss_sum = 0.1;
    state.loss_samples = 77;
    state.train_seconds = 11.25;
    state.best_score = 0.875;
    state.best_step = 1100;
    state.seed = std::numeric_limits<std::uint64_t>::max();
    state.ranks = 6;
    state.grid = "3x2";
    state.pattern_hash = "0123456789abcdef";
    state.weights_hash = "fedcba9876543210";
    state.execution = "sparse dense";
    state.sparsity = 0.9;
    return state;
}

History some_history() {
    History history(3);
    for (std::size_t i = 0; i < history.size(); ++i)
        for (std::size_t column = 0; column < history_columns.size(); ++column)
            history[i].*history_columns[column].field = 0.1 * static_cast<double>(10 * i + column);
    history[1].validation_loss = NAN;
    return history;
}

const Normalization some_normalization{{72.9, 1.0 / 3}, {90.02, 0.25}};
constexpr const char* some_config = "run: {name: größe}\n";

void write(const fs::path& path, Network& network) {
    const auto written = write_checkpoint(path, network, some_state(), some_history(), some_config, some_normalization,
                                          Grid(Communicator::world(), 1));
    if (!written.failure.empty()) throw std::runtime_error(written.failure);
}

template <class T>
bool same_bits(std::span<T> a, std::span<T> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

void check_same_state(const RunState& a, const RunState& b) {
    CHECK(a.class_names == b.class_names);
    CHECK(a.step == b.step);
    CHECK(a.epoch == b.epoch);
    CHECK(a.seconds == b.seconds);
    CHECK(a.loss_sum == b.loss_sum);
    CHECK(a.loss_samples == b.loss_samples);
    CHECK(a.train_seconds == b.train_seconds);
    CHECK(a.best_score == b.best_score);
    CHECK(a.best_step == b.best_step);
    CHECK(a.seed == b.seed);
    CHECK(a.ranks == b.ranks);
    CHECK(a.grid == b.grid);
    CHECK(a.pattern_hash == b.pattern_hash);
    CHECK(a.weights_hash == b.weights_hash);
    CHECK(a.execution == b.execution);
    CHECK(a.sparsity == b.sparsity);
    CHECK(std::isnan(a.validation_accuracy) == std::isnan(b.validation_accuracy));
}

void check_same_network(Network& a, Network& b) {
    REQUIRE(a.parameters().size() == b.parameters().size());
    for (std::size_t i = 0; i < a.parameters().size(); ++i) {
        const Parameter &one = *a.parameters()[i], &other = *b.parameters()[i];
        CAPTURE(one.full_name());
        CHECK(one.pattern.full() == other.pattern.full());
        CHECK(one.pattern.dense_positions() == other.pattern.dense_positions());
        CHECK(same_bits(one.value, other.value));
    }
    auto ours = a.statistics(), theirs = b.statistics();
    REQUIRE(ours.size() == theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i)
        CHECK(same_bits(std::span(ours[i].second->values), std::span(theirs[i].second->values)));
}

std::string refusal(const std::function<void()>& work) {
    try {
        work();
    } catch (const InputError& error) {
        return error.what();
    }
    return "nothing was thrown";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The refusal of the checkpoint of `trained_network` by another network.
std::string refusal_by(Network& network) {
    const TemporaryFolder folder;
    write(folder / "a.h5", *trained_network());
    History history;
    return refusal([&] { read_checkpoint(folder / "a.h5", network, history, Communicator::world()); });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
}

/// A file with a good seal and this content.
void publish(const fs::path& path, const std::function<void(H5File&)>& fill_file) {
    const MemoryFile memory;
    H5File file = H5File::create(memory.path(), seal_bytes);
    fill_file(file);
    file.close();
    publish_sealed(memory, path, {"pruntrain checkpoint", 1}, [](const fs::path&) {});
}

}  // namespace

TEST_CASE("checkpoint: a network, its optimizer and its run come back bit for bit") {
    const TemporaryFolder folder;
    const auto network = trained_network();
    write(folder / "a.h5", *network);

    const auto other = make_network(small_model);  // not pruned, other values
    other->arena().create_slots({"first_moment", "second_moment"});
    fill(other->arena().gradients(), 9);
    History history;
    check_same_state(read_checkpoint(folder / "a.h5", *other, history, Communicator::world()), some_state());
    check_same_network(*other, *network);
    for (std::size_t slot = 0; slot < 2; ++slot)
        CHECK(same_bits(other->arena().slot(slot), network->arena().slot(slot)));
    for (const real gradient : other->arena().gradients()) CHECK(gradient == real{0});
    REQUIRE(history.size() == 3);
    for (const auto& column : history_columns)
        for (std::size_t i = 0; i < history.size(); ++i) {
            const double read = history[i].*column.field, written = some_history()[i].*column.field;
            CHECK(std::memcmp(&read, &written, sizeof read) == 0);
        }

    write(folder / "b.h5", *other);
    CHECK(content_of(folder / "a.h5") == content_of(folder / "b.h5"));
}

TEST_CASE("checkpoint: what the history says of layers comes back, unknown rows too") {
    const TemporaryFolder folder;
    const auto network = trained_network();
    History written = some_history(), read;
    written[1].layers = {{12, false}, {0, true}};
    written[2].layers = {{5'000'000'000, true}, {7, false}};
    write_checkpoint(folder / "a.h5", *network, some_state(), written, some_config, some_normalization,
                     Grid(Communicator::world(), 1));
    read_checkpoint(folder / "a.h5", *network, read, Communicator::world());
    REQUIRE(read.size() == 3);
    CHECK(read[0].layers.empty());
    for (std::size_t row = 1; row < 3; ++row) {
        REQUIRE(read[row].layers.size() == 2);
        for (std::size_t i = 0; i < 2; ++i) {
            CHECK(read[row].layers[i].kept == written[row].layers[i].kept);
            CHECK(read[row].layers[i].sparse == written[row].layers[i].sparse);
        }
    }
}

TEST_CASE("checkpoint: written beside training it is the file of the moment when it was begun") {
    const TemporaryFolder folder;
    const auto network = trained_network();
    write(folder / "a.h5", *network);
    History history = some_history();
    auto later = write_checkpoint_later(folder / "b.h5", *network, some_state(), history, some_config,
                                        some_normalization, Grid(Communicator::world(), 1));
    std::ranges::fill(network->arena().values(), real{7});  // training goes on
    for (std::size_t slot = 0; slot < network->arena().slot_names().size(); ++slot)
        std::ranges::fill(network->arena().slot(slot), real{7});
    std::vector<std::vector<std::uint8_t>> keep(network->arena().parameters().size());
    keep[0].assign(network->arena().parameters()[0]->value.size(), 0);
    network->arena().keep(keep);
    history.clear();
    CHECK(later.get().failure.empty());
    CHECK(content_of(folder / "a.h5") == content_of(folder / "b.h5"));
    auto nowhere = write_checkpoint_later(folder / "no/folder/c.h5", *network, some_state(), history, some_config,
                                          some_normalization, Grid(Communicator::world(), 1));
    CHECK(contains(nowhere.get().failure, "no/folder/c.h5"));
}

TEST_CASE("checkpoint: a run at its start, without slots, history or configuration") {
    const TemporaryFolder folder;
    const auto network = make_network(small_model);
    write_checkpoint(folder / "a.h5", *network, {}, {}, "", {}, Grid(Communicator::world(), 1));
    const auto other = trained_network();  // pruned: reading makes it full again
    other->arena().create_slots({});
    History history(5);
    check_same_state(read_checkpoint(folder / "a.h5", *other, history, Communicator::world()), {});
    check_same_network(*other, *network);
    CHECK(history.empty());
    CHECK(inspect_checkpoint(folder / "a.h5").config.empty());
}

TEST_CASE("checkpoint: inspect lists tensors in model order") {
    const TemporaryFolder folder;
    const auto network = trained_network();
    write(folder / "a.h5", *network);
    const CheckpointSummary summary = inspect_checkpoint(folder / "a.h5");
    check_same_state(summary.state, some_state());
    CHECK(summary.program_version == PRUNTRAIN_VERSION);
    CHECK(summary.config == some_config);
    CHECK(summary.normalization.mean == some_normalization.mean);
    CHECK(summary.normalization.deviation == some_normalization.deviation);
    CHECK(summary.slots == std::vector<std::string>{"first_moment", "second_moment"});
    CHECK(summary.file_bytes == fs::file_size(folder / "a.h5"));

    std::vector<std::string> names, expected;
    for (std::size_t i = 0; i < network->layer_count(); ++i) {
        for (const auto* parameter : network->layer(i).parameters()) expected.push_back(parameter->full_name());
        for (const auto* statistic : network->layer(i).statistics())
            expected.push_back(network->layer(i).name() + "." + statistic->name);
    }
    std::size_t checksums = 4 + history_columns.size();  // the seal, the configuration, the graph, the class names
    std::uint64_t bytes = 0;
    for (const auto& tensor : summary.tensors) {
        names.push_back(tensor.name);
        checksums += tensor.sparse ? 3 : 1;
        bytes += tensor.bytes;
        if (tensor.name == "conv2d1.weight") {
            CHECK(tensor.shape == std::vector<index_t>{3, 1, 3, 3});
            CHECK(tensor.full_size == 27);
            CHECK(tensor.kept == network->parameters()[0]->pattern.kept());
        }
    }
    CHECK(names == expected);
    CHECK(bytes < summary.file_bytes);
    CHECK(summary.verified == checksums + 2 * network->parameters().size());
}

TEST_CASE("checkpoint: any flipped byte and any cut is found, and told with the file's name") {
    const TemporaryFolder folder;
    const auto trained = trained_network();
    write_checkpoint(folder / "a.h5", *trained, some_state(), {}, some_config, some_normalization,
                     Grid(Communicator::world(), 1));
    const std::string bytes = content_of(folder / "a.h5");
    put_content(folder / "b.h5", bytes);
    std::map<std::string, int> verdicts;  // how often each was given
    const auto inspect = [&] {
        const std::string verdict = refusal([&] { inspect_checkpoint(folder / "b.h5"); });
        for (const char* what : {"is not a pruntrain checkpoint", "is damaged in its first", "has format version",
                                 "is damaged: its checksum is", "is damaged: it has", "is truncated: it has"})
            if (contains(verdict, text("/b.h5 ", what))) return ++verdicts[what];
        return ++verdicts["NOT FOUND: " + verdict];
    };
    for (std::size_t i = 0; i < bytes.size(); ++i)
        for (const int mask : {0x01, 0x80}) {
            flip(folder / "b.h5", i, mask);
            inspect();
            flip(folder / "b.h5", i, mask);
        }
    CHECK_NOTHROW(inspect_checkpoint(folder / "b.h5"));
    for (std::size_t size = bytes.size(); size-- > 0;) {
        fs::resize_file(folder / "b.h5", size);
        inspect();
    }
    std::string counts;
    std::size_t found = 0;
    for (const auto& [verdict, count] : verdicts) {
        counts += text("\n  ", verdict, ": ", count);
        found += verdict.starts_with("NOT FOUND") ? 0 : static_cast<std::size_t>(count);
    }
    MESSAGE("a checkpoint of ", bytes.size(), " bytes, each flipped in two ways, and cut at each length: ", found,
            " of ", 3 * bytes.size(), " found", counts);
    CHECK(found == 3 * bytes.size());
    put_content(folder / "b.h5", bytes.substr(0, bytes.size() / 2));
    const auto network = make_network(small_model);
    network->arena().create_slots({"first_moment", "second_moment"});
    const std::vector<real> before(network->arena().values().begin(), network->arena().values().end());
    History history;
    CHECK(contains(refusal([&] { read_checkpoint(folder / "b.h5", *network, history, Communicator::world()); }),
                   "/b.h5 is truncated: it has "));
    CHECK(std::equal(before.begin(), before.end(), network->arena().values().begin()));
}

TEST_CASE("checkpoint: files of other kinds") {
    const TemporaryFolder folder;
    const auto verdict = [&](const std::string& name) { return refusal([&] { inspect_checkpoint(folder / name); }); };
    CHECK(contains(verdict("a.h5"), "/a.h5 does not exist"));
    put_content(folder / "text", "run: {name: a}\n");
    CHECK(contains(verdict("text"), "/text is not a pruntrain checkpoint"));
    {
        H5File foreign = H5File::create(folder / "foreign.h5", 512);
        foreign.create_group("model");
        foreign.close();
    }
    CHECK(contains(verdict("foreign.h5"), "/foreign.h5 is not a pruntrain checkpoint"));
    publish(folder / "empty.h5", [](H5File&) {});
    CHECK(contains(verdict("empty.h5"), "/empty.h5 is no usable checkpoint: / attribute step: "));
    publish(folder / "cycle.h5", [](H5File& file) { file.set_attribute<std::string>("/", "step", "many"); });
    CHECK(contains(verdict("cycle.h5"), "/cycle.h5 is no usable checkpoint: / attribute step: is not of type int64"));
}

TEST_CASE("checkpoint: what is missing in a file with a good seal is named") {
    const TemporaryFolder folder;
    write(folder / "a.h5", *trained_network());
    const H5File whole = H5File::open(folder / "a.h5");
    /// All that stands before the model, then what `fill_rest` makes of it.
    const auto verdict = [&](const std::function<void(H5File&)>& fill_rest) {
        publish(folder / "b.h5", [&](H5File& file) {
            for (const char* name : {"step", "loss_samples", "best_step"}) file.set_attribute("/", name, index_t{1});
            for (const char* name :
                 {"epoch", "seconds", "loss_sum", "train_seconds", "best_score", "sparsity", "validation_accuracy"})
                file.set_attribute("/", name, 1.0);
            file.set_attribute("/", "seed", std::uint64_t{1});
            file.set_attribute("/", "ranks", 1);
            for (const char* name : {"grid", "pattern_hash", "weights_hash", "execution", "program_version"})
                file.set_attribute<std::string>("/", name, "1");
            file.write_text("config", "");
            file.create_group("data");
            file.set_attribute("data", "mean", std::vector{0.0});
            file.set_attribute("data", "deviation", std::vector{1.0});
            fill_rest(file);
        });
        return refusal([&] { inspect_checkpoint(folder / "b.h5"); });
    };
    const std::array<real, 2> two{1, 2};
    const std::array size{index_t{2}};
    CHECK(contains(verdict([](H5File&) {}), "/b.h5 is no usable checkpoint: model: "));
    const auto up_to_slot = [&](H5File& file) {
        file.create_group("model");
        file.create_group("model/dense1");
        file.write<real>("model/dense1/weight", two, size);
        file.create_group("optimizer");
        file.create_group("optimizer/slot");
        file.create_group("optimizer/slot/dense1");
    };
    CHECK(contains(verdict([&](H5File& file) {
                       up_to_slot(file);
                       file.write<real>("optimizer/slot/dense1/weight", std::span(two).first(1),
                                        std::array{index_t{1}});
                   }),
                   "optimizer/slot/dense1/weight: has 1 values, expected 2"));
    for (const auto& shape : {std::vector<index_t>{1}, {2, 2}, {index_t{1} << 62}, {-3}})
        CHECK(contains(verdict([&](H5File& file) {
                           up_to_slot(file);
                           file.set_attribute("model/dense1/weight", "full_shape", shape);
                       }),
                       "model/dense1/weight: had no shape "));
    const auto up_to_history = [&](H5File& file) {
        up_to_slot(file);
        file.write<real>("optimizer/slot/dense1/weight", two, size);
        file.create_group("history");
        for (std::size_t i = 0; i + 1 < history_columns.size(); ++i)
            file.write<double>(text("history/", history_columns[i].name), std::array{1.0, 2.0}, size);
    };
    CHECK(contains(verdict(up_to_history), "history/values_reduced: "));
    CHECK(contains(verdict([&](H5File& file) {
                       up_to_history(file);
                       file.write<double>("history/values_reduced", std::array{1.0}, std::array{index_t{1}});
                   }),
                   "history/values_reduced: has 1 values, expected 2"));
    CHECK(verdict([&](H5File& file) {
              up_to_history(file);
              file.write<double>("history/values_reduced", std::array{1.0, 2.0}, size);
          }) == "nothing was thrown");
    CHECK(contains(verdict([&](H5File& file) {
                       up_to_history(file);
                       file.write<double>("history/values_reduced", std::array{1.0, 2.0}, size);
                       file.create_group("layers");
                       const std::array<index_t, 2> shape{1, 2};
                       file.write<index_t>("layers/kept", std::array<index_t, 2>{3, 4}, shape);
                       file.write<std::int32_t>("layers/sparse", std::array<std::int32_t, 2>{0, 1}, shape);
                   }),
                   "layers: is not of 2 rows"));
}

TEST_CASE("checkpoint: another network or optimizer is refused by its first difference") {
    const std::string other_network = ": it is of another network";
    const auto wider = make_network(replaced(small_model, "units: 6", "units: 5"));
    CHECK(
        contains(refusal_by(*wider), "/a.h5: the checkpoint has hidden.weight 6x12, the network 5x12" + other_network));
    const auto renamed = make_network(replaced(small_model, "hidden", "middle"));
    CHECK(
        contains(refusal_by(*renamed), "the checkpoint has hidden.weight, the network middle.weight" + other_network));
    const auto shorter = make_network(replaced(small_model, "  - {layer: dense, units: 3}\n", ""));
    CHECK(contains(refusal_by(*shorter), "the checkpoint has dense2.weight, the network nothing more" + other_network));
    const auto longer = make_network(std::string(small_model) + "  - {layer: dense, units: 3}\n");
    CHECK(contains(refusal_by(*longer), "the checkpoint has nothing more, the network dense3.weight" + other_network));

    const auto network = make_network(small_model);
    network->arena().create_slots({"momentum"});
    CHECK(contains(refusal_by(*network),
                   "the checkpoint's optimizer has the slots first_moment, second_moment, this run's has momentum"));
    network->arena().create_slots({"second_moment", "first_moment"});
    CHECK(refusal_by(*network) == "nothing was thrown");
    network->arena().create_slots({});  // evaluation
    CHECK(refusal_by(*network) == "nothing was thrown");
}

TEST_CASE("checkpoint: a file that cannot be written leaves the older one") {
    const TemporaryFolder folder;
    const auto network = trained_network();
    write(folder / "a.h5", *network);
    const std::string old = content_of(folder / "a.h5");
    fs::create_symlink("/dev/full", folder / "a.h5.tmp");  // every write finds the disk full
    network->arena().values()[0] = 1;
    try {
        write(folder / "a.h5", *network);
        FAIL("written to a full disk");
    } catch (const std::runtime_error& error) {
        CHECK(contains(error.what(), "/a.h5: cannot write: No space left on device"));
    }
    CHECK(content_of(folder / "a.h5") == old);
    CHECK(list_checkpoints(folder.path()).empty());
    CHECK_FALSE(fs::is_symlink(folder / "a.h5.tmp"));
    write(folder / "a.h5", *network);
    CHECK(content_of(folder / "a.h5") != old);
    CHECK_THROWS_AS(write(folder / "none/a.h5", *network), std::runtime_error);
}

TEST_CASE("checkpoint: names and the list of a folder") {
    CHECK(checkpoint_name(0) == "step_00000000.h5");
    CHECK(checkpoint_name(1234) == "step_00001234.h5");
    CHECK(checkpoint_name(1'234'567'890) == "step_1234567890.h5");
    const TemporaryFolder folder;
    CHECK(list_checkpoints(folder / "none").empty());
    for (const char* name : {"step_00000020.h5", "step_1234567890.h5", "step_00000003.h5", "step_00000004.h5.tmp",
                             "step_5.h5", "step_x.h5", "best.h5", "step_99999999999999999999.h5", "step_-0000001.h5"})
        put_content(folder / name, "");
    CHECK(list_checkpoints(folder.path()) == std::vector<fs::path>{folder / "step_1234567890.h5",
                                                                   folder / "step_00000020.h5",
                                                                   folder / "step_00000003.h5"});
}
