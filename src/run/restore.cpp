#include "pruntrain/run/restore.hpp"

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/parallel/census.hpp"
#include "pruntrain/parallel/partition.hpp"

namespace pruntrain {

void broadcast(FileToRestore& file, const Communicator& world) {
    for (std::string* const words : {&file.path, &file.partition, &file.pattern_hash, &file.weights_hash})
        world.broadcast_text(*words);
}

std::string yaml_list(const std::vector<std::string>& names) {
    std::vector<std::string> quoted;
    for (const std::string& name : names) {
        quoted.emplace_back("\"");
        for (const char letter : name) {
            if (letter == '"' || letter == '\\') quoted.back() += '\\';
            quoted.back() += letter;
        }
        quoted.back() += '"';
    }
    return "[" + join(quoted) + "]";
}

void check_names(const std::string& file, const RunState& trained, const std::vector<std::string>& class_names,
                 const std::vector<std::string>& input_names) {
    const auto differ = [](const auto& theirs, const auto& ours) {
        return theirs != ours && !theirs.empty() && !ours.empty();
    };
    if (differ(trained.class_names, class_names))
        input_error(file, " was trained with the classes ", yaml_list(trained.class_names),
                    ", but the training files have ", yaml_list(class_names), ": set data.class_names='",
                    yaml_list(trained.class_names), "' to number the classes in the same way");
    if (!differ(trained.input_names, input_names)) return;
    constexpr std::size_t most = 20;
    const std::size_t place = static_cast<std::size_t>(std::ranges::mismatch(trained.input_names, input_names).in1 -
                                                       trained.input_names.begin());
    const auto name = [&](const auto& names) { return place < names.size() ? "'" + names[place] + "'" : "none"; };
    input_error(file, " was trained with the inputs ", join_some(trained.input_names, most),
                ", but those of the training files have other names or another order: input ", place + 1, " was ",
                name(trained.input_names), " and is ", name(input_names),
                ": list the inputs of the training in data.inputs, or rename the columns if they are the same");
}

namespace {

/// The partition of the model in the file, for the number of shards of this run.
Partition partition_here(const FileToRestore& file, index_t shards) {
    const Partition written = parse_partition(file.partition);
    const bool same = !written.empty() && std::ssize(written.begin()->second) == shards + 1;
    return same ? written : even_partition(written, shards);
}

}  // namespace

RestoredRun restore(const FileToRestore& file, Model& model, Restore what, const Communicator& world) {
    const Partition partition = partition_here(file, model.grid().model_shards());
    if (!partition.empty() || !model.partition().empty()) model.repartition(partition, Model::Weights::drop);
    RestoredRun run;
    if (what == Restore::weights) {
        read_weights(file.path, model.network(), world);
    } else {
        run.state = read_checkpoint(file.path, model.network(), run.history, world);
        model.execution().restore(run.state.execution);
        model.follow_execution();
    }
    const ModelHash hash = consistent_model_hash(model.network(), run.state.step, model.grid());
    const auto check = [&](const char* which, std::uint64_t read, const std::string& written) {
        if (!written.empty() && hex(read) != written)
            fault("the model read from ", file.path, " has the ", which, " hash ", hex(read),
                  ", but the file was written with ", written);
    };
    check("pattern", hash.pattern, file.pattern_hash);
    check("weights", hash.weights, file.weights_hash);
    return run;
}

}  // namespace pruntrain
