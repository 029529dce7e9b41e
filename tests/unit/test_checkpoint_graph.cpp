#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "pruntrain/base/error.hpp"
#include "src/run/checkpoint_layout.hpp"

using namespace pruntrain;

namespace {

constexpr const char* model = R"(
model:
  - {layer: conv2d, channels: 5, kernel: 3, padding: 1, bias: false}
  - {layer: batch_norm, epsilon: 0.001}
  - {layer: max_pool2d, kernel: 3}
  - {layer: flatten}
  - {layer: dropout}
  - {layer: dense, units: 6, name: größe}
)";

nlohmann::json graph_of(const Partition& cuts = {}) {
    const auto entries = Config::parse(model, "test.yaml", {}).list("model");
    const Network network(entries, {2, 9, 9}, {0, 1, cuts});
    const std::string text = graph_text(network);
    CHECK_NOTHROW(check_graph(text, {"conv2d1", "batch_norm1", "größe"}));
    CHECK(std::ranges::count(text, '\n') == 8);  // a line for each node, one before, one after
    return nlohmann::json::parse(text);
}

const nlohmann::json good = nlohmann::json::parse(R"({"input_shape": [3, 1, 1], "output": "b", "nodes": [
    {"name": "a", "type": "dense", "inputs": ["input"], "keys": {"units": 2}, "input_shapes": [[3, 1, 1]],
     "output_shape": [2, 1, 1], "configured_output_shape": [4, 1, 1]},
    {"name": "b", "type": "sum", "inputs": ["a", "a"], "keys": {}, "input_shapes": [[2, 1, 1], [2, 1, 1]],
     "output_shape": [2, 1, 1]}]})");

/// What is said of the good graph after this value has been set, or, if it is null, removed.
std::string verdict(const std::string& pointer, const nlohmann::json& value) {
    nlohmann::json changed = good;
    const nlohmann::json::json_pointer place(pointer);
    if (value.is_null()) changed[place.parent_pointer()].erase(place.back());
    else changed[place] = value;
    try {
        check_graph(changed.dump(), {"a"});
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

}  // namespace

TEST_CASE("checkpoint graph: nodes have all keys, inputs and shapes") {
    const nlohmann::json graph = graph_of();
    CHECK(graph["input_shape"] == nlohmann::json{2, 9, 9});
    CHECK(graph["output"] == "größe");
    const nlohmann::json& nodes = graph["nodes"];
    REQUIRE(nodes.size() == 6);
    CHECK(nodes[0] == nlohmann::json::parse(R"({"name": "conv2d1", "type": "conv2d", "inputs": ["input"],
        "keys": {"channels": 5, "kernel": 3, "stride": 1, "padding": 1, "bias": false, "prunable": true,
                 "initializer": "he_normal"},
        "input_shapes": [[2, 9, 9]], "output_shape": [5, 9, 9]})"));
    CHECK(nodes[1]["keys"] == nlohmann::json{{"epsilon", 0.001}, {"momentum", 0.1}});
    CHECK(nodes[2]["keys"] == nlohmann::json{{"kernel", 3}, {"stride", 3}});
    CHECK(nodes[2]["output_shape"] == nlohmann::json{5, 3, 3});
    CHECK(nodes[3]["keys"] == nlohmann::json::object());
    CHECK(nodes[3]["output_shape"] == nlohmann::json{45, 1, 1});
    CHECK(nodes[4]["keys"] == nlohmann::json{{"rate", 0.5}});
    CHECK(nodes[5]["type"] == "dense");
    CHECK(nodes[5]["inputs"] == nlohmann::json{"dropout1"});
    CHECK_FALSE(nodes[5]["keys"].contains("name"));
    for (const auto& node : nodes) CHECK_FALSE(node.contains("configured_output_shape"));
}

TEST_CASE("checkpoint graph: after units were removed it has the shapes before and after") {
    const nlohmann::json nodes = graph_of({{"conv2d1", {0, 2}}, {"größe", {0, 6}}})["nodes"];
    CHECK(nodes[0]["keys"]["channels"] == 5);
    CHECK(nodes[0]["output_shape"] == nlohmann::json{2, 9, 9});
    CHECK(nodes[0]["configured_output_shape"] == nlohmann::json{5, 9, 9});
    CHECK_FALSE(nodes[0].contains("configured_input_shapes"));
    CHECK(nodes[3]["output_shape"] == nlohmann::json{18, 1, 1});
    CHECK(nodes[5]["input_shapes"] == nlohmann::json::parse("[[18, 1, 1]]"));
    CHECK(nodes[5]["configured_input_shapes"] == nlohmann::json::parse("[[45, 1, 1]]"));
    CHECK_FALSE(nodes[5].contains("configured_output_shape"));
}

TEST_CASE("checkpoint graph: keys of layers that are built twice are listed once") {
    const auto entries = Config::parse(model, "test.yaml", {}).list("model");
    const Network first(entries, {2, 9, 9}), second(entries, {2, 9, 9});
    CHECK(graph_text(first) == graph_text(second));
    CHECK(first.graph()[0].keys.size() == 7);
}

TEST_CASE("checkpoint graph: what is wrong in one is named") {
    CHECK(verdict("/output", "a") == "nothing was thrown");
    CHECK(verdict("/nodes/0/keys/units", "many") == "nothing was thrown");  // a matter of who builds the layer
    CHECK(verdict("/nodes/0/type", "no_such") == "nothing was thrown");     // likewise
    CHECK(verdict("/input_shape", nullptr) == "graph: has no 'input_shape'");
    CHECK(verdict("/output", "c") == "graph: its output 'c' is no node");
    CHECK(verdict("/nodes", nlohmann::json::array()) == "graph: 'nodes' is no list of at least one entry");
    CHECK(verdict("/nodes", 7) == "graph: 'nodes' is no list of at least one entry");
    CHECK(verdict("/nodes/1", "b") == "graph: node 1: is no JSON object");
    CHECK(verdict("/nodes/1/name", nullptr) == "graph: node 1: has no 'name'");
    CHECK(verdict("/nodes/1/name", "") == "graph: node 1: 'name' is no text, or has control characters");
    CHECK(verdict("/nodes/1/name", "b\n") == "graph: node 1: 'name' is no text, or has control characters");
    CHECK(verdict("/nodes/1/name", "a") == "graph: has two nodes 'a'");
    CHECK(verdict("/nodes/1/type", 1) == "graph: node 'b': 'type' is no text, or has control characters");
    CHECK(verdict("/nodes/1/inputs", "a") == "graph: node 'b': 'inputs' is no list of at least one entry");
    CHECK(verdict("/nodes/1/inputs/1", 0) == "graph: node 'b': 'inputs' is no text, or has control characters");
    CHECK(verdict("/nodes/1/inputs/1", "b") == "graph: node 'b' reads 'b', which is no node before it");
    CHECK(verdict("/nodes/1/keys", 1) == "graph: node 'b': 'keys' is no JSON object");
    CHECK(verdict("/nodes/1/input_shapes", {{2, 1, 1}}) == "graph: node 'b': 'input_shapes' has 1 shapes for 2 inputs");
    const std::string no_shape = "is no shape of channels, rows and columns above 0";
    for (const char* shape : {"[2, 1]", "[2, 1, 0]", "[2, 1, -1]", "[2, 1, 1.5]", "[2, 1, 18446744073709551615]",
                              "[2, 1, 1e30]", "7", "{}", "[[], [], []]"}) {
        const nlohmann::json value = nlohmann::json::parse(shape);
        CHECK(verdict("/input_shape", value) == "graph: 'input_shape' " + no_shape);
        CHECK(verdict("/nodes/1/input_shapes/0", value) == "graph: node 'b': 'input_shapes' " + no_shape);
        CHECK(verdict("/nodes/0/output_shape", value) == "graph: node 'a': 'output_shape' " + no_shape);
        CHECK(verdict("/nodes/0/configured_output_shape", value) ==
              "graph: node 'a': 'configured_output_shape' " + no_shape);
    }
    CHECK_THROWS_WITH(check_graph(good.dump(), {"c"}), "graph: has no node 'c', but the model has its tensors");
}

TEST_CASE("checkpoint graph: texts that are no graph, however deep, are refused") {
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string(R"({"nodes": [)"),
          std::string("\xff\xfe"), std::string(1'000'000, '['), good.dump() + "x"})
        CHECK_THROWS_WITH(check_graph(text, {}), "graph: is no JSON object");
    std::string deep = R"({"nodes": )" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}";
    CHECK_THROWS_WITH(check_graph(deep, {}), "graph: has no 'input_shape'");
}
