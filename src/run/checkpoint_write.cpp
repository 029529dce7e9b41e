#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "pruntrain/base/timer.hpp"
#include "pruntrain/io/h5_file.hpp"
#include "pruntrain/io/sparse_matrix_h5.hpp"
#include "src/run/checkpoint_layout.hpp"

namespace pruntrain {

namespace {

namespace fs = std::filesystem;

/// Where the packed numbers of all shards, shard after shard, stand in the whole tensor, of which each shard has some
/// rows or some columns; empty: in this order. On the root.
std::vector<index_t> places_of_shards(const Pattern& own, bool all_columns, const Communicator& shards) {
    if (all_columns || shards.size() == 1) return {};
    const auto sizes = shards.gather_v(std::span<const index_t>(own.row_sizes()));
    return shards.is_root() ? places_side_by_side(sizes, own.rows()) : std::vector<index_t>();
}

/// The numbers of all shards on the root, in place. @param places  as `places_of_shards` gives them
template <class T>
std::vector<T> gather_in_place(std::span<const T> own, std::span<const index_t> places, const Communicator& shards) {
    std::vector<T> numbers = shards.gather_v(own);
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
    if (shards.all_reduce_max(index_t{own.full() ? 0 : 1}) == 0) {
        if (shards.is_root()) use(Pattern(rows, columns), std::span<const real>(values));
        return;
    }
    std::vector<std::int32_t> indices = own.all_columns();
    for (std::int32_t& index : indices) index += static_cast<std::int32_t>(part.first_column);
    indices = gather_in_place(std::span<const std::int32_t>(indices), places, shards);
    auto sizes = shards.gather_v(std::span<const index_t>(own.row_sizes()));
    if (!shards.is_root()) return;
    sizes = row_sizes_side_by_side(sizes, rows);
    use(Pattern(rows, columns, Pattern::pointers_of(sizes), std::move(indices)), std::span<const real>(values));
}

/// One file, written by the root. A fault is kept while the ranks go on sending their parts, which it must take. What
/// is written later, beside training, is a list of steps that own what they write.
class Job {
   public:
    Job(fs::path path, bool later, std::function<void()> before_rename)
        : path_(std::move(path)), later_(later), before_rename_(std::move(before_rename)) {}

    void attempt(std::function<void(H5File&)> step) {
        if (later_) steps_.push_back(std::move(step));
        else run(step);
    }
    /// An object that stays as long as a step needs it: a copy if that is later.
    template <class T>
    std::shared_ptr<const T> keep(const T& object) const {
        if (later_) return std::make_shared<const T>(object);
        return {std::shared_ptr<const T>(), &object};
    }
    /// Likewise numbers; the step uses the span.
    template <class T>
    std::pair<std::shared_ptr<const std::vector<T>>, std::span<const T>> keep(std::span<const T> numbers) const {
        if (!later_) return {nullptr, numbers};
        const auto copy = std::make_shared<const std::vector<T>>(numbers.begin(), numbers.end());
        return {copy, *copy};
    }

    /// Makes a group in which tensors stand, for the first of them.
    void enter(H5File& file, const std::string& group) {
        if (group != group_) file.create_group(group);
        group_ = group;
    }

    /// @return why the file could not be written; empty: it is there
    WrittenCheckpoint complete() {
        const Timer timer;
        for (auto& step : steps_) {
            run(step);
            step = nullptr;  // what it owns
        }
        run([](H5File& file) { file.close(); });
        if (failure_.empty()) {
            try {
                publish_sealed(*memory_, path_, checkpoint_kind, [this](const fs::path& written) {
                    inspect_checkpoint(written);
                    if (before_rename_) before_rename_();
                });
                return {"", timer.seconds()};
            } catch (const std::exception& error) {
                return {message_of(error), timer.seconds()};
            }
        }
        return {text("cannot write ", path_.string(), ": ", failure_), timer.seconds()};
    }

   private:
    void run(const std::function<void(H5File&)>& step) {
        if (!failure_.empty()) return;
        try {
            if (!file_) {
                memory_.emplace();
                file_.emplace(H5File::create(memory_->path(), seal_bytes));
            }
            step(*file_);
        } catch (const std::exception& error) {
            failure_ = message_of(error);
        }
    }

    fs::path path_;
    bool later_;
    std::function<void()> before_rename_;
    std::optional<MemoryFile> memory_;
    std::optional<H5File> file_;
    std::vector<std::function<void(H5File&)>> steps_;
    std::string group_, failure_;
};

void write_model(Job* job, Network& network, const Communicator& shards) {
    if (job) job->attempt([](H5File& file) { file.create_group("model"); });
    each_tensor(network, [&](const TensorPart& part) {
        with_all_weights(part, shards, [&](const Pattern& pattern, std::span<const real> values) {
            if (!job) return;
            job->attempt([job, kept_pattern = job->keep(pattern), kept_values = job->keep(values), layer = part.layer,
                          name = part.name, shape = part.tensor_shape, full_shape = part.full_shape](H5File& file) {
                job->enter(file, "model/" + layer);
                const std::string path = model_path(layer, name);
                write_tensor(file, path, layer + "." + name, shape, *kept_pattern, kept_values.second);
                if (full_shape != shape) file.set_attribute(path, full_shape_name, full_shape);
            });
        });
    });
}

void write_slots(Job* job, Arena& arena, const Grid& grid) {
    if (job)
        job->attempt([names = arena.slot_names()](H5File& file) {
            file.create_group("optimizer");
            for (const auto& slot : names) file.create_group("optimizer/" + slot);
        });
    for (std::size_t number = 0; number < arena.slot_names().size(); ++number)
        for (std::size_t i = 0; i < arena.parameters().size(); ++i) {
            const Parameter& parameter = *arena.parameters()[i];
            // This rank's numbers of the parameter, then those of all replicas, then of all shards.
            const Block range = arena.slot_range(i);
            std::vector<real> of_replicas, of_shards;
            std::span<const real> whole = arena.slot(number).subspan(range.first - arena.slot_range().first,
                                                                     static_cast<std::size_t>(range.size));
            if (arena.state_is_partitioned()) whole = of_replicas = grid.replicas().gather_v(whole);
            if (!grid.replicas().is_root()) continue;
            if (grid.model_shards() > 1) {
                const auto places = places_of_shards(parameter.pattern, parameter.has_all_columns(), grid.shards());
                whole = of_shards = gather_in_place(whole, places, grid.shards());
            }
            if (!job) continue;
            job->attempt([job, slot = arena.slot_names()[number], layer = parameter.layer, name = parameter.name,
                          kept = job->keep(whole)](H5File& file) {
                job->enter(file, "optimizer/" + slot + "/" + layer);
                file.write(slot_path(slot, layer, name), kept.second, std::array{std::ssize(kept.second)});
            });
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

void write_names(H5File& file, const std::string& path, const std::string& count_name,
                 const std::vector<std::string>& names) {
    if (names.empty()) return;
    file.write_text(path, join(names, "\n"));
    file.set_attribute("data", count_name, static_cast<index_t>(names.size()));
}

/// All that the root writes. Collective. @return null on other ranks
std::unique_ptr<Job> gather(const fs::path& path, Network& network, const RunState& state, const History& history,
                            const std::string& config, const Normalization& normalization, const Grid& grid, bool later,
                            const std::function<void()>& before_rename) {
    std::unique_ptr<Job> job;
    if (grid.world().is_root()) {
        job = std::make_unique<Job>(path, later, before_rename);
        const Shape& shape = network.input_shape();
        job->attempt([state, config, normalization, graph = graph_text(network),
                      input = std::vector{shape.channels, shape.rows, shape.columns}](H5File& file) {
            file.set_attribute<index_t>("/", "format_version", checkpoint_kind.format_version);
            file.set_attribute<std::string>("/", "program_version", PRUNTRAIN_VERSION);
            each_field(state, [&](const char* name, const auto& field) { file.set_attribute("/", name, field); });
            file.write_text("config", config);
            file.write_text("graph", graph);
            file.create_group("data");
            file.set_attribute("data", "mean", normalization.mean);
            file.set_attribute("data", "deviation", normalization.deviation);
            file.set_attribute("data", "input_shape", input);
            write_names(file, class_names_path, classes_name, state.class_names);
            write_names(file, input_names_path, inputs_name, state.input_names);
        });
    }
    if (grid.replicas().is_root()) write_model(job.get(), network, grid.shards());
    write_slots(job.get(), network.arena(), grid);
    if (job)
        job->attempt([kept = job->keep(history)](H5File& file) {
            write_history(file, *kept);
            write_layers(file, *kept);
        });
    return job;
}

}  // namespace

WrittenCheckpoint write_checkpoint(const fs::path& path, Network& network, const RunState& state,
                                   const History& history, const std::string& config,
                                   const Normalization& normalization, const Grid& grid,
                                   const std::function<void()>& before_rename) {
    const auto job = gather(path, network, state, history, config, normalization, grid, false, before_rename);
    return job ? job->complete() : WrittenCheckpoint{};
}

std::future<WrittenCheckpoint> write_checkpoint_later(const fs::path& path, Network& network, const RunState& state,
                                                      const History& history, const std::string& config,
                                                      const Normalization& normalization, const Grid& grid,
                                                      const std::function<void()>& before_rename) {
    std::shared_ptr<Job> job = gather(path, network, state, history, config, normalization, grid, true, before_rename);
    if (!job) return {};
    return std::async(std::launch::async, [job] { return job->complete(); });
}

}  // namespace pruntrain
