// What users write instead of the plain form: merge keys, anchors, other names, none and null, paths, several forms.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../support/data_files.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/config/config.hpp"
#include "src/config/known_keys.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

Config parse(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    return Config::parse(yaml, "test.yaml", overrides);
}

double rate_of(const Config& config, const std::string& section = "optimizer") {
    return config.section(section).number("rate", std::nullopt, {}, "");
}

/// The keys of a small program with a family, which are read with sample values.
void read_all(const Config& config) {
    config.has_section("prune");
    const Config optimizer = config.section("optimizer");
    optimizer.number("learning_rate", std::nullopt, above(0), "");
    const std::string type = optimizer.choice("type", "adam", {"adam", "sgd"}, "");
    if (config.is_describing() || type == "adam") optimizer.member("type: adam").number("beta1", 0.9, {}, "");
    if (config.is_describing() || type == "sgd") optimizer.member("type: sgd").number("momentum", 0.9, {}, "");
    const Config train = config.section("train");
    train.alias("epochs", "rounds");
    train.number("epochs", std::nullopt, at_least(0), "");
    train.integer("global_batch", std::nullopt, at_least(1), "");
    for (const auto& layer : config.list("model")) layer.integer("units", std::nullopt, at_least(1), "");
    if (config.has_section("prune")) {
        config.section("prune").number("final_sparsity", std::nullopt, {}, "");
        for (const char* key : {"start_step", "start_epoch"})
            if (config.section("prune").has(key)) config.section("prune").number(key, std::nullopt, {}, "");
        const Config table = config.section("prune").section("table");
        if (config.is_describing()) table.number("LAYER", std::nullopt, {}, "");
        for (const auto& name : table.keys()) table.number(name, std::nullopt, {}, "");
    }
    config.section("checkpoint").integer("keep", 3, at_least(1), "");
}

Config load(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    const Config description = Config::describing();
    read_all(description);
    Config config = parse(yaml, overrides);
    config.check_keys(description);
    read_all(config);
    config.finish();
    return config;
}

const std::string good =
    "optimizer: {type: sgd, momentum: 0.8, learning_rate: 0.1}\n"
    "train: {epochs: 3, global_batch: 10}\n"
    "model: [{units: 3}]\n";

std::string changed(const std::string& from, const std::string& to) {
    std::string yaml = good;
    const auto place = yaml.find(from);
    REQUIRE(place != std::string::npos);
    return yaml.replace(place, from.size(), to);
}

}  // namespace

TEST_CASE("config forms: merge keys") {
    CHECK(rate_of(parse("x-d: &d {rate: 2}\noptimizer: {<<: *d}")) == 2);
    CHECK(rate_of(parse("x-d: &d {rate: 2}\noptimizer: {<<: *d, rate: 3}")) == 3);
    CHECK(rate_of(parse("x-d: &d {rate: 2}\noptimizer:\n  rate: 3\n  <<: *d\n")) == 3);
    CHECK(rate_of(parse("x-d: &d {rate: 2}\nx-e: &e {rate: 4}\noptimizer: {<<: [*d, *e]}")) == 2);
    CHECK(rate_of(parse("x-d: &d {rate: 2}\nx-e: &e {<<: *d, other: 4}\noptimizer: {<<: *e}")) == 2);
    CHECK(rate_of(parse("x: {deep: &d {rate: 2}}\nlist: [{<<: *d}]").list("list")[0].section("none").has("x")
                      ? parse("optimizer: {rate: 0}")
                      : parse("optimizer: {<<: {rate: 2}}")) == 2);
    const Config listed = parse("x-d: &d {rate: 2}\nlist: [{<<: *d}, {rate: 5}]");
    CHECK(listed.list("list")[0].number("rate", std::nullopt, {}, "") == 2);
    for (const char* wrong : {"optimizer: {<<: 3}", "optimizer: {<<: [1]}", "optimizer: {<<: }"})
        CHECK(contains(input_error_of([&] { parse(wrong); }), "merge key"));
    CHECK(contains(input_error_of([&] { parse("x-d: &d {a: 1}\no: {<<: *d, <<: *d}"); }), "<<: [*one, *other]"));
}

TEST_CASE("config forms: an override changes one place, not the others that are an alias of it") {
    for (const char* yaml : {"x-d: &d {rate: 2}\none: *d\nother: *d", "one: &d {rate: 2}\nother: {<<: *d}",
                             "x-r: &r 2\none: {rate: *r}\nother: {rate: *r}"}) {
        const Config config = parse(yaml, {"other.rate=5"});
        CHECK(rate_of(config, "one") == 2);
        CHECK(rate_of(config, "other") == 5);
    }
    const Config list = parse("l: &l [{rate: 1}, {rate: 2}]\nm: *l", {"m.1.rate=7"});
    CHECK(list.list("l")[1].number("rate", std::nullopt, {}, "") == 2);
    CHECK(list.list("m")[1].number("rate", std::nullopt, {}, "") == 7);
    CHECK(list.list("m")[0].number("rate", std::nullopt, {}, "") == 1);
}

TEST_CASE("config forms: a NUL byte, at which a parser would end, is named") {
    const std::string yaml("one: 1\ntwo: 2\0\nthree: 3", 23);
    CHECK(contains(input_error_of([&] { parse(yaml); }), "line 2 has a NUL byte: allowed is text in UTF-8"));
}

TEST_CASE("config forms: the hint for a key that another type of the same list has") {
    const auto hint = [](const std::string& key) {
        const std::set<Path> known{
            {"model"}, {"model", "0", "layer"}, {"model", "0", "units"}, {"model", "1", "layer"}};
        return hint_for({"model", "1", key}, known);
    };
    CHECK(hint("units") == "; this entry is of a type without that key; known here: layer");
    CHECK(hint("size") == hint("no_such_key"));
    CHECK(hint("no_such_key") == "; known here: layer");
    CHECK(hint("layr") == "; did you mean model.1.layer?");
    CHECK(hint_for({"model", "7", "unit"}, {{"model", "0", "units"}}) == "; did you mean model.7.units?");
}

TEST_CASE("config forms: top-level keys that begin with x- are ignored, and a message names them") {
    CHECK(contains(input_error_of([] { Config::parse("x-a: &a {b: 1}\no: *a", "test", {"x-a.b=2"}); }),
                   "top-level keys that begin with x- are ignored"));
    CHECK_NOTHROW(load("x-anything: [1, {a: b}]\n" + good));
    const std::string message = input_error_of([] { load("defaults: &d {learning_rate: 0.1}\n" + good); });
    CHECK(contains(message, "unknown key defaults (test.yaml, line 1)"));
    CHECK(contains(message, "x-defaults"));
    CHECK_FALSE(contains(input_error_of([] { load("defaults: {learning_rate: 0.1}\n" + good); }), "x-"));
    CHECK(contains(input_error_of([] { load(changed("{epochs", "{x-more: 1, epochs")); }), "unknown key train.x-more"));
}

TEST_CASE("config forms: an empty section has no keys, none and null are no section") {
    CHECK(load(good + "checkpoint:\n").section("checkpoint").integer("keep", 3, {}, "") == 3);
    CHECK(load(good + "checkpoint:\n", {"checkpoint.keep=2"}).section("checkpoint").integer("keep", 3, {}, "") == 2);
    for (const char* none : {"none", "null", "~", ""}) {
        CHECK_FALSE(load(good + "prune: " + none + "\n").has_section("prune"));
        CHECK(load(good + "prune: " + none + "\n", {"prune.final_sparsity=0.5"}).has_section("prune"));
    }
    for (const char* none : {"prune=none", "prune=null", "prune=~"})
        CHECK_FALSE(load(good + "prune: {final_sparsity: 0.5}\n", {none}).has_section("prune"));
    CHECK(load(good + "prune: {final_sparsity: 0.5}\n").has_section("prune"));
    CHECK(contains(input_error_of([] { load(good + "prune: {}\n"); }), "prune.final_sparsity is missing"));
    CHECK(contains(input_error_of([] { load(good + "prune: cubic\n"); }), "prune"));
}

TEST_CASE("config forms: a wrong name is reported before a missing one") {
    const std::vector<std::array<std::string, 4>> cases{
        {"learning_rate: 0.1", "lr: 0.1", "unknown key optimizer.lr (test.yaml, line 1)", "optimizer.learning_rate?"},
        {"learning_rate", "learning_rat", "unknown key optimizer.learning_rat", "optimizer.learning_rate?"},
        {"global_batch", "batch_size", "unknown key train.batch_size (test.yaml, line 2)", "train.global_batch?"},
        {"epochs", "epoch", "unknown key train.epoch", "train.epochs?"},
        {"momentum", "momentum_decay", "unknown key optimizer.momentum_decay", "optimizer.momentum?"},
        {"units", "neurons", "unknown key model.0.neurons", "model.0.units?"},
        {"optimizer", "optim", "unknown key optim ", "optimizer?"},
        {"epochs: 3", "lr: 3", "unknown key train.lr", "optimizer.learning_rate?"},
        {"epochs: 3", "xyzzyxyzzy: 3", "unknown key train.xyzzyxyzzy", "known here: epochs, global_batch"},
    };
    for (const auto& [from, to, unknown, hint] : cases) {
        const std::string message = input_error_of([&] { load(changed(from, to)); });
        CHECK_MESSAGE(contains(message, unknown), message);
        CHECK_MESSAGE(contains(message, hint), message);
    }
    CHECK(contains(input_error_of([] { load(changed("epochs: 3, ", "")); }), "train.epochs is missing"));
    CHECK(contains(input_error_of([] { load(good, {"train.lr=3"}); }), "unknown key train.lr (command line)"));
    CHECK(contains(input_error_of([] { load(good, {"train.nothing=null"}); }),
                   "unknown key train.nothing (command line)"));
    // Names that are right: of the other member, old ones, those that the user chooses.
    CHECK(
        contains(input_error_of([] { load(changed("momentum: 0.8", "beta1: 0.8")); }), "unknown key optimizer.beta1"));
    CHECK_NOTHROW(load(changed("epochs", "rounds")));
    CHECK_NOTHROW(load(good + "prune: {final_sparsity: 0.5, table: {dense1: 0.1, lr: 0.2}}"));
}

TEST_CASE("config forms: a blank is missing after a colon") {
    const std::vector<std::array<std::string, 3>> cases{
        {"epochs: 3, ", "epochs:3, ", "'epochs:3'"},
        {"learning_rate: 0.1", "learning_rate:0.1", "'learning_rate:0.1'"},
        {"train: {epochs: 3, global_batch: 10}", "train:\n  epochs:3\n  global_batch: 10", "'epochs:3'"},
        {"train: {epochs: 3, global_batch: 10}", "train:\n  global_batch: 10\n  epochs:3", "'epochs:3'"},
        {"train: {epochs: 3, global_batch: 10}", "train:\n  epochs:3", "'epochs:3'"},
        {"train: {", "train:{", "'train:"},
    };
    for (const auto& [from, to, word] : cases) {
        const std::string message = input_error_of([&] { load(changed(from, to)); });
        CHECK_MESSAGE(contains(message, "a blank is missing after the colon in " + word), message);
    }
    CHECK(contains(input_error_of([] { parse("run:3"); }), "a blank is missing"));
    CHECK_FALSE(contains(input_error_of([] { load(changed("epochs: 3", "epochs: http://host:3/x")); }), "blank"));
}

TEST_CASE("config forms: an override that chooses another member leaves the keys of the former one out") {
    const Config config = load(good, {"optimizer.type=adam"});
    CHECK_FALSE(config.section("optimizer").has("momentum"));
    CHECK(config.section("optimizer").number("learning_rate", std::nullopt, {}, "") == 0.1);
    REQUIRE(config.notes().size() == 1);
    CHECK(contains(config.notes()[0], "optimizer.momentum (test.yaml) is left out"));
    CHECK(contains(config.notes()[0], "optimizer.type=adam"));
    CHECK(load(good, {"optimizer.type=sgd"}).section("optimizer").has("momentum"));
    CHECK(load(good, {"optimizer.type=sgd"}).notes().empty());
    // What the command line gives itself stays, and is wrong.
    CHECK(contains(input_error_of([] {
                       load(good, {"optimizer.type=adam", "optimizer.momentum=0.5"});
                   }),
                   "unknown key optimizer.momentum (command line)"));
    // In the file it is wrong too.
    CHECK(contains(input_error_of([] { load(changed("type: sgd", "type: adam")); }), "unknown key optimizer.momentum"));
}

TEST_CASE("config forms: null takes a key away") {
    for (const char* null : {"null", "~", "Null"})
        CHECK_FALSE(load(good, {"optimizer.type=adam", std::string("optimizer.momentum=") + null})
                        .section("optimizer")
                        .has("momentum"));
    CHECK(
        contains(input_error_of([] { load(good, {"train.epochs=null"}); }), "train.epochs (command line) is missing"));
    CHECK(contains(input_error_of([] { load(good, {"train.epochs="}); }), "has no value"));
    CHECK(contains(input_error_of([] { load(good, {"model.0=null"}); }), "not an entry of a list"));
    CHECK_NOTHROW(load(good, {"checkpoint.keep=null"}));
}

TEST_CASE("config forms: the command line replaces the other form of a time") {
    const std::string pruned = good + "prune: {final_sparsity: 0.5, start_epoch: 1}\n";
    const Config config = load(pruned, {"prune.start_step=7"});
    CHECK_FALSE(config.section("prune").has("start_epoch"));
    CHECK(config.section("prune").number("start_step", std::nullopt, {}, "") == 7);
    CHECK(contains(config.notes().at(0), "prune.start_epoch"));
    const Config both = load(pruned, {"prune.start_step=7", "prune.start_epoch=2"});
    CHECK(both.section("prune").has("start_epoch"));
    CHECK(both.section("prune").has("start_step"));
    CHECK(load(pruned, {"prune.start_epoch=2"}).notes().empty());
}

TEST_CASE("config forms: whole numbers are decimal, as in YAML 1.2") {
    const std::vector<std::pair<std::string, index_t>> numbers{{"010", 10},  {"08", 8},     {"0o10", 8},
                                                               {"0x10", 16}, {"-010", -10}, {"+7", 7},
                                                               {"0", 0},     {"00", 0},     {"1e3", 1000}};
    for (const auto& [word, value] : numbers) {
        const Config config = parse("n: " + word);
        CHECK_MESSAGE(config.integer("n", std::nullopt, {}, "") == value, word);
        CHECK_MESSAGE(config.number("n", std::nullopt, {}, "") == static_cast<double>(value), word);
    }
    for (const char* word : {"0o8", "0o", "0x", "1_000", "--1", "0b1", "99999999999999999999", "1 2"})
        CHECK_MESSAGE(
            contains(input_error_of([&] { parse(std::string("n: ") + word).integer("n", 1, {}, ""); }), "whole number"),
            word);
    CHECK(parse("n: 9007199254740993").integer("n", 1, {}, "") == 9007199254740993);
}

TEST_CASE("config forms: home and variables in paths") {
    ::setenv("HOME", "/home/me", 1);
    ::setenv("PRUNTRAIN_TEST_A", "/scratch", 1);
    const std::vector<std::pair<std::string, std::string>> paths{
        {"~", "/home/me"},
        {"~/x", "/home/me/x"},
        {"$HOME/x", "/home/me/x"},
        {"${PRUNTRAIN_TEST_A}/x", "/scratch/x"},
        {"a/$PRUNTRAIN_TEST_A/b", "a//scratch/b"},
        {"${PRUNTRAIN_TEST_A}b$$c$", "/scratchb$c$"},
        {"a~b/~", "a~b/~"},
        {"x", "x"},
    };
    for (const auto& [given, meant] : paths) {
        const Config config = parse("p: '" + given + "'");
        CHECK(config.path("p", std::nullopt, "") == meant);
        CHECK(contains(config.resolved(), given));  // so that the file is valid elsewhere
        CHECK(config.word("p", std::nullopt, "") == given);
    }
    const auto error = [](const std::string& given) {
        return input_error_of([&] { parse("p: '" + given + "'").path("p", std::nullopt, ""); });
    };
    CHECK(contains(error("$PRUNTRAIN_UNSET/x"), "p (test.yaml, line 1) is '$PRUNTRAIN_UNSET/x'"));
    CHECK(contains(error("$PRUNTRAIN_UNSET/x"), "variable PRUNTRAIN_UNSET is not set"));
    CHECK(contains(error("${PRUNTRAIN_UNSET}"), "PRUNTRAIN_UNSET"));
    CHECK(contains(error("${x"), "'}'"));
    CHECK(contains(error("~you/x"), "~/"));
}

TEST_CASE("config forms: several documents, tabs, Windows") {
    const std::string message = input_error_of([] { load(good + "---\nrun: {name: other}\n"); });
    CHECK(contains(message, "test.yaml line 5"));
    CHECK(contains(message, "second YAML document"));
    CHECK_NOTHROW(load("---\n" + good));
    CHECK_NOTHROW(load("---\n" + good + "---\n"));
    CHECK_NOTHROW(load(good + "...\n"));
    CHECK_NOTHROW(load("\xEF\xBB\xBF" + good));
    std::string windows;
    for (const char c : good) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
    CHECK_NOTHROW(load(windows));
    CHECK_NOTHROW(load("\xEF\xBB\xBF" + windows));
    CHECK(contains(input_error_of([] { load("train:\n\tepochs: 3\n"); }), "tabs"));
    const std::string twice = input_error_of([] { load(good + "train: {epochs: 5}\n"); });
    CHECK(contains(twice, "test.yaml line 4: key 'train' is given twice, before in line 2"));
    for (const std::string nothing : {",", ", a: 1\n", "--- ,\n"}) {  // yaml-cpp would read empty documents without end
        INFO(nothing);
        CHECK(contains(input_error_of([&] { load(nothing); }), "test.yaml is no valid YAML"));
    }
}
