#include "pruntrain/run/checkpoint.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <sstream>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/io/h5_file.hpp"
#include "pruntrain/io/sealed_file.hpp"
#include "pruntrain/io/sparse_matrix_h5.hpp"
#include "src/run/checkpoint_layout.hpp"

namespace pruntrain {

namespace {

namespace fs = std::filesystem;

constexpr index_t largest_tensor = index_t{1}
                                   << 43;  // numbers; so that sums over the tensors of a file do not overflow

/// A file of before they were recorded has none.
void read_layers(const H5File& file, History& history) {
    const std::vector<std::string> objects = file.names("/");
    if (std::find(objects.begin(), objects.end(), "layers") == objects.end()) return;
    const std::vector<index_t> shape = file.shape("layers/kept"), kept = file.read<index_t>("layers/kept");
    const std::vector<std::int32_t> sparse = file.read<std::int32_t>("layers/sparse");
    if (shape.size() != 2 || shape[0] != std::ssize(history) || kept.size() != sparse.size())
        fault("layers: is not of ", history.size(), " rows");
    const std::size_t layers = shape[1];
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

/// @param count_name  of /data; without this attribute there are no names
std::vector<std::string> read_names(const H5File& file, const std::string& path, const std::string& count_name) {
    std::vector<std::string> names;
    if (!file.has_attribute("data", count_name)) return names;
    std::istringstream lines(file.read_text(path));
    for (std::string name; std::getline(lines, name);) {
        if (!is_plain_text(name)) fault(path, ": has a name that is no text");
        names.push_back(name);
    }
    if (std::ssize(names) != file.attribute<index_t>("data", count_name))
        fault(path, ": has ", names.size(), " names, expected the number in /data");
    return names;
}

RunState read_state(const H5File& file, index_t format_version) {
    RunState state;
    each_field(state, [&](const std::string& name, auto& field) {
        if (format_version < 2 && name == "shard_cuts") return;
        const bool is_newer = name == "rate_factor" || name == "step_offset";
        if (is_newer && !file.has_attribute("/", name)) return;  // of before it was recorded
        field = file.attribute<std::remove_reference_t<decltype(field)>>("/", name);
    });
    state.class_names = read_names(file, class_names_path, classes_name);
    state.input_names = read_names(file, input_names_path, inputs_name);
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

/// The shape of a tensor before units were removed; its own if none were.
std::vector<index_t> full_shape_of(const H5File& file, const std::string& path, const std::vector<index_t>& shape) {
    if (!file.has_attribute(path, full_shape_name)) return shape;
    auto full = file.attribute<std::vector<index_t>>(path, full_shape_name);
    index_t size = 1;
    bool fits = full.size() == shape.size();
    for (std::size_t i = 0; fits && i < full.size(); ++i)
        fits = full[i] >= shape[i] && !__builtin_mul_overflow(size, full[i], &size) && size <= largest_tensor;
    if (!fits) fault(path, ": had no shape ", crossed(full), " before it was ", crossed(shape));
    return full;
}

/// Reads every tensor and slot, so that every checksum is compared, but keeps one pattern at a time in memory.
void inspect_arrays(const H5File& file, CheckpointSummary& summary) {
    std::map<std::string, index_t> kept;  // values of each tensor
    for (const auto& layer : file.names("model"))
        for (const auto& name : file.names("model/" + layer)) {
            const StoredTensor tensor = read_tensor(file, model_path(layer, name));
            verify_tensor_values(file, model_path(layer, name), tensor.pattern.kept());
            const auto full_shape = full_shape_of(file, model_path(layer, name), tensor.tensor_shape);
            summary.tensors.push_back({layer + "." + name, tensor.tensor_shape, full_shape, tensor.pattern.kept(),
                                       size_of(full_shape), !tensor.pattern.full(), tensor.bytes});
            kept[layer + "." + name] = tensor.pattern.kept();
        }
    summary.slots = file.names("optimizer");
    for (const auto& slot : summary.slots)
        for (const auto& layer : file.names("optimizer/" + slot))
            for (const auto& name : file.names("optimizer/" + slot + "/" + layer))
                file.verify<real>(slot_path(slot, layer, name), static_cast<std::size_t>(kept[layer + "." + name]));
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
        if (version >= 3) check_graph(file.read_text("graph"), file.names("model"));
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
                          arena.slot(number).subspan(own.first - arena.slot_range().first,
                                                     static_cast<std::size_t>(own.size)));
            }
        history = read_history(file);
        return read_state(file, format_version);
    });
}

}  // namespace

RunState read_checkpoint(const fs::path& path, Network& network, History& history, const Communicator& ranks) {
    index_t version = 0;
    ranks.rethrow_collectively([&] {
        if (!ranks.is_root()) return;
        const CheckpointSummary summary = inspect_checkpoint(path);
        check_same_tensors(path.string(), summary, network, false);
        check_same_slots(path.string(), summary, network.arena());
        version = summary.format_version;
    });
    ranks.broadcast(std::span(&version, 1));
    RunState state;
    ranks.rethrow_collectively([&] { state = read_parts(path, version, network, history); });
    return state;
}

void check_same_model(const std::string& file, const CheckpointSummary& checkpoint, Network& network) {
    check_same_tensors(file, checkpoint, network, true);
}

void read_weights(const fs::path& path, Network& network, const Communicator& ranks) {
    ranks.rethrow_collectively([&] { with_file(path, [&](const H5File& file) { read_tensors(file, network); }); });
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
