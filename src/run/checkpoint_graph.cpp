// The model's graph in a checkpoint: JSON in one data set, as docs/checkpoint_format.md has it.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "pruntrain/base/error.hpp"
#include "pruntrain/base/text.hpp"
#include "src/run/checkpoint_layout.hpp"

namespace pruntrain {

namespace {

using Json = nlohmann::ordered_json;  // to write: keys keep their order
using Parsed = nlohmann::json;        // to read: a search tree, however many members an object of a hostile file has

Json json_of(const Shape& shape) { return {shape.channels, shape.rows, shape.columns}; }

Json json_of(const GraphNode& node) {
    Json keys = Json::object();
    for (const auto& key : node.keys) std::visit([&](const auto& value) { keys[key.name] = value; }, key.value);
    Json now = Json::array(), configured = Json::array();
    for (const auto& shape : node.input_shapes) {
        now.push_back(json_of(shape.now));
        configured.push_back(json_of(shape.configured));
    }
    Json json{{"name", node.name}, {"type", node.type}, {"inputs", node.inputs}, {"keys", keys}};
    json["input_shapes"] = now;
    json["output_shape"] = json_of(node.output_shape.now);
    if (configured != now) json["configured_input_shapes"] = configured;
    if (node.output_shape.configured != node.output_shape.now)
        json["configured_output_shape"] = json_of(node.output_shape.configured);
    return json;
}

// Of a hostile file; a node has a few hundred bytes and three levels.
constexpr std::size_t most_bytes = std::size_t{16} << 20;
constexpr int deepest = 10;  // levels; what is deeper is left out

/// What a reader of a graph needs, and refuses without; names are those of messages.
class Check {
   public:
    Check(std::string where, const Parsed& json) : where_(std::move(where)), json_(json) {
        if (!json.is_object()) fault(where_, ": is no JSON object");
    }

    const Parsed& member(const char* name) const {
        const auto found = json_.find(name);
        if (found == json_.end()) fault(where_, ": has no '", name, "'");
        return *found;
    }
    const Parsed& list(const char* name) const {
        const Parsed& value = member(name);
        if (!value.is_array() || value.empty()) fault(where_, ": '", name, "' is no list of at least one entry");
        return value;
    }
    std::string word(const char* name) const { return word(name, member(name)); }
    std::string word(const char* name, const Parsed& value) const {
        if (!value.is_string() || value.get_ref<const std::string&>().empty() ||
            !is_plain_text(value.get_ref<const std::string&>()))
            fault(where_, ": '", name, "' is no text, or has control characters");
        return value.get<std::string>();
    }
    void shape(const char* name, const Parsed& value) const {
        const auto is_size = [](const Parsed& size) { return size.is_number_integer() && size.get<index_t>() > 0; };
        if (!value.is_array() || value.size() != 3 || !std::ranges::all_of(value, is_size))
            fault(where_, ": '", name, "' is no shape of channels, rows and columns above 0");
    }
    void shapes(const char* name, std::size_t count) const {
        const Parsed& values = list(name);
        if (values.size() != count)
            fault(where_, ": '", name, "' has ", values.size(), " shapes for ", count, " inputs");
        for (const auto& value : values) shape(name, value);
    }
    bool has(const char* name) const { return json_.contains(name); }

   private:
    std::string where_;
    const Parsed& json_;
};

void check_node(const Parsed& json, std::size_t number, std::set<std::string>& names) {
    const std::string name = Check(text("graph: node ", number), json).word("name");
    const Check node(text("graph: node '", name, "'"), json);
    node.word("type");
    const Parsed& inputs = node.list("inputs");
    for (const auto& input : inputs)
        if (const std::string from = node.word("inputs", input); from != graph_input && !names.contains(from))
            fault("graph: node '", name, "' reads '", from, "', which is no node before it");
    if (!node.member("keys").is_object()) fault("graph: node '", name, "': 'keys' is no JSON object");
    node.shapes("input_shapes", inputs.size());
    node.shape("output_shape", node.member("output_shape"));
    if (node.has("configured_input_shapes")) node.shapes("configured_input_shapes", inputs.size());
    if (node.has("configured_output_shape"))
        node.shape("configured_output_shape", node.member("configured_output_shape"));
    if (!names.insert(name).second) fault("graph: has two nodes '", name, "'");
}

}  // namespace

std::string graph_text(const Network& network) {
    std::vector<std::string> lines;
    for (const auto& node : network.graph()) lines.push_back(json_of(node).dump());
    return text("{\"input_shape\":", json_of(network.input_shape()).dump(), ",\"nodes\":[\n", join(lines, ",\n"),
                "\n],\"output\":", Json(network.graph().back().name).dump(), "}\n");
}

void check_graph(const std::string& graph, const std::vector<std::string>& layers) {
    if (graph.size() > most_bytes) fault("graph: has ", graph.size(), " bytes, more than ", most_bytes);
    const auto is_shallow = [](int depth, Parsed::parse_event_t, const Parsed&) { return depth < deepest; };
    const Parsed json = Parsed::parse(graph, is_shallow, false);
    const Check whole("graph", json);
    whole.shape("input_shape", whole.member("input_shape"));
    std::set<std::string> names;
    std::size_t number = 0;
    for (const auto& node : whole.list("nodes")) check_node(node, number++, names);
    if (!names.contains(whole.word("output"))) fault("graph: its output '", whole.word("output"), "' is no node");
    for (const auto& layer : layers)
        if (!names.contains(layer)) fault("graph: has no node '", layer, "', but the model has its tensors");
}

}  // namespace pruntrain
