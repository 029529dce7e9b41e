#include "pruntrain/train/checkpoint.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/h5_file.hpp"
#include "pruntrain/io/sealed_file.hpp"
#include "pruntrain/io/sparse_matrix_h5.hpp"

namespace pruntrain {

namespace {

namespace fs = std::filesystem;

constexpr const char* full_shape_name = "full_shape";
constexpr FileKind checkpoint_kind{"pruntrain checkpoint", 2};

/// Calls `use(name, field)` for every field of the state: its attribute at the root. The binding names all fields, so
/// that a new one does not compile until it is stored.
template <class State, class Use>
void each_field(State& state, Use&& use) {
    auto& [step, epoch, seconds, loss_sum, loss_samples, train_seconds, best_score, best_step, seed, ranks, grid,
           shard_cuts, pattern_hash, weights_hash, execution, sparsity, validation_accuracy, rate_factor] = state;
    use("step", step);
    use("epoch", epoch);
    use("seconds", seconds);
    use("loss_sum", loss_sum);
    use("loss_samples", loss_samples);
    use("train_seconds", train_seconds);
    use("best_score", best_score);
    use("best_step", best_step);
    use("seed", seed);
    use("ranks", ranks);
    use("grid", grid);
    use("shard_cuts", shard_cuts);
    use("pattern_hash", pattern_hash);
    use("weights_hash", weights_hash);
    use("execution", execution);
    use("sparsity", sparsity);
    use("validation_accuracy", validation_accuracy);
    use("rate_factor", rate_factor);
}

/// A tensor of the model on this shard: rows and columns, from these on, of a whole of this shape.
struct TensorPart {
    std::string layer, name;
    std::vector<index_t> tensor_shape, full_shape;
    index_t first_row, first_column;
    const Pattern& pattern;
    std::span<real> values;
    bool is_statistic = false;

    index_t columns() const { return size_of(tensor_shape) / tensor_shape[0]; }  ///< of the whole
};

/// Calls `use(part)` for every parameter and statistic, in model order.
template <class Use>
void each_tensor(Network& network, Use&& use) {
    for (std::size_t i = 0; i < network.layer_count(); ++i) {
        Layer& layer = network.layer(i);
        for (const auto* parameter : layer.parameters())
            use(TensorPart{layer.name(), parameter->name, parameter->tensor_shape, parameter->full_shape,
                           parameter->first_row, parameter->first_column, parameter->pattern, parameter->value});
        for (auto* statistic : layer.statistics()) {
            const Pattern full(static_cast<index_t>(statistic->values.size()), 1);
            const ChannelBlock& channels = layer.own_channels();
            use(TensorPart{layer.name(),
                           statistic->name,
                           {channels.total},
                           {channels.total},
                           channels.first,
                           0,
                           full,
                           statistic->values,
                           true});
        }
    }
}

std::string model_path(const std::string& layer, const std::string& name) { return "model/" + layer + "/" + name; }

std::string slot_path(const std::string& slot, const std::string& layer, const std::string& name) {
    return "optimizer/" + slot + "/" + layer + "/" + name;
}

/// Where the packed numbers of all shards, shard after shard, stand in the whole tensor, of which each shard has some
/// rows or some columns; empty: in this order. On the root.
std::vector<index_t> places_of_shards(const Pattern& own, bool all_columns, const Communicator& shards) {
    if (all_columns || shards.size() == 1) return {};
    const auto sizes = shards.gather_blocks(std::span<const index_t>(own.row_sizes()));
    return shards.is_root() ? places_side_by_side(sizes, own.rows()) : std::vector<index_t>();
}

/// The numbers of all shards on the root, in place. @param places  as `places_of_shards` gives them
template <class T>
std::vector<T> gather_in_place(std::span<const T> own, std::span<const index_t> places, const Communicator& shards) {
    std::vector<T> numbers = shards.gather_blocks(own);
    if (!places.empty()) numbers = put_in_place(std::span<const T>(numbers), places);
    return numbers;
}

/// Calls use(pattern, values) on the root with the weights of all shards.
template <class Use>
void with_all_weights(const TensorPart& part, const Communicator& shards, Use use) {
    const Pattern& own = part.pattern;
    if (shards.size() == 1) return use(own, std::span<const real>(part.values));
    const index_t rows = part.tensor_shape[0], columns = part.columns();
    const bool all_columns = own.columns() == columns;
    const auto places = places_of_shards(own, all_columns, shards);
    const std::vector<real> values = gather_in_place(std::span<const real>(part.values), places, shards);
    if (shards.largest(index_t{own.full() ? 0 : 1}) == 0) {
        if (shards.is_root()) use(Pattern(rows, columns), std::span<const real>(values));
        return;
    }
    std::vector<std::int32_t> indices = own.all_columns();
    for (std::int32_t& index : indices) index += static_cast<std::int32_t>(part.first_column);
    indices = gather_in_place(std::span<const std::int32_t>(indices), places, shards);
    auto sizes = shards.gather_blocks(std::span<const index_t>(own.row_sizes()));
    if (!shards.is_root()) return;
    sizes = row_sizes_side_by_side(sizes, rows);
    use(Pattern(rows, columns, Pattern::pointers_of(sizes), std::move(indices)), std::span<const real>(values));
}

/// What a rank writes; a fault is kept while the ranks go on sending it their parts, which it must take.
class Writer {
   public:
    explicit Writer(const fs::path& path) : path_(path) {}

    template <class Work>
    void attempt(Work&& work) {
        if (!failure_.empty()) return;
        try {
            work();
        } catch (const std::exception& error) {
            failure_ = message_of(error);
        }
    }
    void finish() const {
        if (!failure_.empty()) fault("cannot write ", path_.string(), ": ", failure_);
    }

   private:
    fs::path path_;
    std::string failure_;
};

void write_model(H5File* file, Network& network, const Communicator& shards, Writer& writer) {
    std::string group;
    if (file) writer.attempt([&] { file->create_group("model"); });
    each_tensor(network, [&](const TensorPart& part) {
        with_all_weights(part, shards, [&](const Pattern& pattern, std::span<const real> values) {
            writer.attempt([&] {
                if (group != part.layer) file->create_group("model/" + part.layer);
                group = part.layer;
                write_tensor(*file, model_path(part.layer, part.name), part.layer + "." + part.name, part.tensor_shape,
                             pattern, values);
                if (part.full_shape != part.tensor_shape)
                    file->set_attribute(model_path(part.layer, part.name), full_shape_name, part.full_shape);
            });
        });
    });
}

void write_slots(H5File* file, Arena& arena, const Grid& grid, Writer& writer) {
    if (file)
        writer.attempt([&] {
            file->create_group("optimizer");
            for (const auto& slot : arena.slot_names()) file->create_group("optimizer/" + slot);
        });
    for (std::size_t number = 0; number < arena.slot_names().size(); ++number) {
        const std::string& slot = arena.slot_names()[number];
        std::string group;
        for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
            const Parameter& parameter = *arena.parameters()[i];
            // This rank's numbers of the parameter, then those of all replicas, then of all shards.
            const Block range = arena.slot_range(i);
            std::vector<real> of_replicas, of_shards;
            std::span<const real> whole = arena.slot(number).subspan(
                static_cast<std::size_t>(range.first - arena.slot_range().first), static_cast<std::size_t>(range.size));
            if (arena.shares_slots()) whole = of_replicas = grid.replicas().gather_blocks(whole);
            if (!grid.replicas().is_root()) continue;
            if (grid.model_shards() > 1) {
                const auto places = places_of_shards(parameter.pattern, parameter.has_all_columns(), grid.shards());
                whole = of_shards = gather_in_place(whole, places, grid.shards());
            }
            if (!file) continue;
            writer.attempt([&] {
                const std::string parent = "optimizer/" + slot + "/" + parameter.layer;
                if (group != parent) file->create_group(parent);
                group = parent;
                const std::array size{static_cast<index_t>(whole.size())};
                file->write(slot_path(slot, parameter.layer, parameter.name), whole, size);
            });
        }
    }
}

void write_history(H5File& file, const History& history) {
    file.create_group("history");
    const std::array size{static_cast<index_t>(history.size())};
    for (const auto& column : history_columns) {
        std::vector<double> values;
        for (const auto& row : history) values.push_back(row.*column.field);
        file.write<double>(text("history/", column.name), values, size);
    }
}

/// Of each row of the history the layers with weights: two arrays of rows x layers; -1 kept: unknown.
void write_layers(H5File& file, const History& history) {
    if (history.empty() || history.back().layers.empty()) return;
    const std::size_t layers = history.back().layers.size();
    std::vector<index_t> kept;
    std::vector<std::int32_t> sparse;
    for (const auto& row : history)
        for (std::size_t i = 0; i < layers; ++i) {
            kept.push_back(row.layers.empty() ? -1 : row.layers[i].kept);
            sparse.push_back(row.layers.empty() ? 0 : std::int32_t{row.layers[i].sparse});
        }
    const std::array shape{static_cast<index_t>(history.size()), static_cast<index_t>(layers)};
    file.create_group("layers");
    file.write<index_t>("layers/kept", kept, shape);
    file.write<std::int32_t>("layers/sparse", sparse, shape);
}

/// A file of before they were recorded has none.
void read_layers(const H5File& file, History& history) {
    const std::vector<std::string> objects = file.names("/");
    if (std::find(objects.begin(), objects.end(), "layers") == objects.end()) return;
    const std::vector<index_t> shape = file.shape("layers/kept"), kept = file.read<index_t>("layers/kept");
    const std::vector<std::int32_t> sparse = file.read<std::int32_t>("layers/sparse");
    if (shape.size() != 2 || shape[0] != std::ssize(history) || kept.size() != sparse.size())
        fault("layers: is not of ", history.size(), " rows");
    const auto layers = static_cast<std::size_t>(shape[1]);
    for (std::size_t i = 0; i < kept.size(); ++i)
        if (kept[i] >= 0) history[i / layers].layers.push_back({kept[i], sparse[i] != 0});
}

History read_history(const H5File& file) {
    History history;
    if (file.names("history").empty()) return history;  // a weight file
    for (const auto& column : history_columns) {
        const std::string path = text("history/", column.name);
        const std::vector<double> values = file.read<double>(path);
        if (&column == &history_columns.front()) history.resize(values.size());
        if (values.size() != history.size()) fault(path, ": has ", values.size(), " values, expected ", history.size());
        for (std::size_t i = 0; i < values.size(); ++i) history[i].*column.field = values[i];
    }
    read_layers(file, history);
    return history;
}

RunState read_state(const H5File& file, index_t format_version) {
    RunState state;
    each_field(state, [&](const std::string& name, auto& field) {
        if (format_version < 2 && name == "shard_cuts") return;
        if (name == "rate_factor" && !file.has_attribute("/", name)) return;  // of before it was recorded
        field = file.attribute<std::remove_reference_t<decltype(field)>>("/", name);
    });
    return state;
}

/// Opens a file whose seal is good, and says of which file it is if an object in it is not as it should be.
template <class Work>
auto with_file(const fs::path& path, Work&& work) {
    try {
        const H5File file = H5File::open(path);
        return work(file);
    } catch (const InputError&) {
        throw;
    } catch (const std::runtime_error& error) {
        input_error(path.string(), " is no usable checkpoint: ", error.what());
    }
}

/// Reads every tensor and slot, so that every checksum is compared, but keeps one at a time in memory.
void inspect_arrays(const H5File& file, CheckpointSummary& summary) {
    std::map<std::string, std::size_t> kept;  // values of each tensor
    for (const auto& layer : file.names("model"))
        for (const auto& name : file.names("model/" + layer)) {
            const StoredTensor tensor = read_tensor(file, model_path(layer, name));
            std::vector<real> values(static_cast<std::size_t>(tensor.pattern.kept()));
            read_tensor_values(file, model_path(layer, name), values);
            const std::string path = model_path(layer, name);
            const auto full_shape = file.has_attribute(path, full_shape_name)
                                        ? file.attribute<std::vector<index_t>>(path, full_shape_name)
                                        : tensor.tensor_shape;
            summary.tensors.push_back({layer + "." + name, tensor.tensor_shape, full_shape, tensor.pattern.kept(),
                                       size_of(full_shape), !tensor.pattern.full(), tensor.bytes});
            kept[layer + "." + name] = values.size();
        }
    summary.slots = file.names("optimizer");
    for (const auto& slot : summary.slots)
        for (const auto& layer : file.names("optimizer/" + slot))
            for (const auto& name : file.names("optimizer/" + slot + "/" + layer)) {
                std::vector<real> values(kept[layer + "." + name]);
                file.read<real>(slot_path(slot, layer, name), values);
            }
}

/// @param before_removals  the shapes before units were removed are compared; a file does not have those of statistics
void check_same_tensors(const std::string& file, const CheckpointSummary& checkpoint, Network& network,
                        bool before_removals) {
    std::size_t number = 0;
    const auto other = [&](const std::string& theirs, const std::string& ours) {
        input_error(file, ": the checkpoint has ", theirs, ", the network ", ours, ": it is of another network");
    };
    each_tensor(network, [&](const TensorPart& part) {
        const std::string full_name = part.layer + "." + part.name;
        if (number == checkpoint.tensors.size()) other("nothing more", full_name);
        const auto& tensor = checkpoint.tensors[number++];
        if (tensor.name != full_name) other(tensor.name, full_name);
        if (before_removals && part.is_statistic) return;
        const auto& theirs = before_removals ? tensor.full_shape : tensor.shape;
        const auto& ours = before_removals ? part.full_shape : part.tensor_shape;
        if (theirs != ours) other(full_name + " " + crossed(theirs), crossed(ours));
    });
    if (number < checkpoint.tensors.size()) other(checkpoint.tensors[number].name, "nothing more");
}

void check_same_slots(const std::string& file, const CheckpointSummary& checkpoint, const Arena& arena) {
    if (arena.slot_names().empty()) return;
    auto theirs = checkpoint.slots, ours = arena.slot_names();
    std::sort(theirs.begin(), theirs.end());
    std::sort(ours.begin(), ours.end());
    if (theirs != ours)
        input_error(file, ": the checkpoint's optimizer has the slots ", theirs.empty() ? "(none)" : join(theirs),
                    ", this run's has ", join(ours), ": go on with the optimizer and the pruning that wrote it");
}

}  // namespace

void write_checkpoint(const fs::path& path, Network& network, const RunState& state, const History& history,
                      const std::string& config, const Normalization& normalization, const Grid& grid) {
    Writer writer(path);
    std::optional<MemoryFile> memory;
    std::optional<H5File> file;
    if (grid.world().is_root()) {
        writer.attempt([&] {
            memory.emplace();
            file.emplace(H5File::create(memory->path(), seal_bytes));
            file->set_attribute<index_t>("/", "format_version", checkpoint_kind.format_version);
            file->set_attribute<std::string>("/", "program_version", PRUNTRAIN_VERSION);
            each_field(state, [&](const char* name, const auto& field) { file->set_attribute("/", name, field); });
            file->write_text("config", config);
            file->create_group("data");
            file->set_attribute("data", "mean", normalization.mean);
            file->set_attribute("data", "deviation", normalization.deviation);
            const Shape& input = network.input_shape();
            file->set_attribute("data", "input_shape", std::vector{input.channels, input.rows, input.columns});
        });
    }
    if (grid.replicas().is_root()) write_model(file ? &*file : nullptr, network, grid.shards(), writer);
    write_slots(file ? &*file : nullptr, network.arena(), grid, writer);
    if (!grid.world().is_root()) return;
    writer.attempt([&] {
        write_history(*file, history);
        write_layers(*file, history);
        file->close();
    });
    writer.finish();
    publish_sealed(*memory, path, checkpoint_kind, [](const fs::path& written) { inspect_checkpoint(written); });
}

CheckpointSummary inspect_checkpoint(const fs::path& path) {
    const index_t version = verify_seal(path, checkpoint_kind);
    return with_file(path, [&](const H5File& file) {
        CheckpointSummary summary;
        summary.format_version = version;
        summary.state = read_state(file, version);
        summary.program_version = file.attribute<std::string>("/", "program_version");
        summary.config = file.read_text("config");
        summary.normalization = {file.attribute<std::vector<double>>("data", "mean"),
                                 file.attribute<std::vector<double>>("data", "deviation")};
        inspect_arrays(file, summary);
        read_history(file);
        summary.file_bytes = file.file_bytes();
        summary.verified = file.verified() + 1;  // and the seal
        return summary;
    });
}

namespace {

/// Patterns, values and statistics. @return where each tensor stands in the file
std::map<std::string, StoredPlace> read_tensors(const H5File& file, Network& network) {
    Arena& arena = network.arena();
    std::vector<Pattern> patterns;
    std::map<std::string, StoredPlace> places;
    for (const auto* parameter : arena.parameters()) {
        StoredPart part =
            read_tensor_part(file, model_path(parameter->layer, parameter->name), parameter->first_row,
                             parameter->pattern.rows(), parameter->first_column, parameter->pattern.columns());
        patterns.push_back(std::move(part.pattern));
        places[parameter->full_name()] = std::move(part.place);
    }
    arena.reset(patterns);
    each_tensor(network, [&](const TensorPart& part) {
        const std::string path = model_path(part.layer, part.name);
        StoredPlace& place = places[part.layer + "." + part.name];
        if (part.is_statistic) place = read_tensor_part(file, path, part.first_row, part.pattern.rows(), 0, 1).place;
        read_part(file, path, part.pattern, place, part.values);
    });
    return places;
}

RunState read_parts(const fs::path& path, index_t format_version, Network& network, History& history) {
    return with_file(path, [&](const H5File& file) {
        const std::map<std::string, StoredPlace> places = read_tensors(file, network);
        Arena& arena = network.arena();
        for (std::size_t number = 0; number < arena.slot_names().size(); ++number)
            for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
                const Parameter& parameter = *arena.parameters()[i];
                const Block own = arena.slot_range(i);
                if (own.size == 0) continue;
                read_part(file, slot_path(arena.slot_names()[number], parameter.layer, parameter.name),
                          parameter.pattern, places.at(parameter.full_name()), own.first - arena.offset(i),
                          arena.slot(number).subspan(static_cast<std::size_t>(own.first - arena.slot_range().first),
                                                     static_cast<std::size_t>(own.size)));
            }
        history = read_history(file);
        return read_state(file, format_version);
    });
}

}  // namespace

RunState read_checkpoint(const fs::path& path, Network& network, History& history, const Communicator& ranks) {
    index_t version = 0;
    ranks.together([&] {
        if (!ranks.is_root()) return;
        const CheckpointSummary summary = inspect_checkpoint(path);
        check_same_tensors(path.string(), summary, network, false);
        check_same_slots(path.string(), summary, network.arena());
        version = summary.format_version;
    });
    ranks.broadcast(std::span(&version, 1));
    RunState state;
    ranks.together([&] { state = read_parts(path, version, network, history); });
    return state;
}

void check_same_model(const std::string& file, const CheckpointSummary& checkpoint, Network& network) {
    check_same_tensors(file, checkpoint, network, true);
}

void read_weights(const fs::path& path, Network& network, const Communicator& ranks) {
    ranks.together([&] { with_file(path, [&](const H5File& file) { read_tensors(file, network); }); });
}

std::string checkpoint_name(index_t step) {
    std::string digits = std::to_string(step);
    digits.insert(0, 8 - std::min<std::size_t>(8, digits.size()), '0');
    return "step_" + digits + ".h5";
}

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
    std::vector<std::pair<index_t, fs::path>> found;
    std::error_code error;  // a folder that is not there holds no checkpoints
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        index_t step = -1;
        if (name.rfind("step_", 0) == 0) std::from_chars(name.data() + 5, name.data() + name.size(), step);
        if (step >= 0 && name == checkpoint_name(step)) found.emplace_back(step, entry.path());
    }
    std::sort(found.begin(), found.end(), std::greater<>());
    std::vector<fs::path> paths;
    for (const auto& [step, path] : found) paths.push_back(path);
    return paths;
}

}  // namespace pruntrain
