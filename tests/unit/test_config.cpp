#include <doctest/doctest.h>

#include "../support/data_files.hpp"
#include "pruntrain/base/error.hpp"
#include "pruntrain/config/config.hpp"

using namespace pruntrain;
using namespace pruntrain::test;

namespace {

Config parse(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
    return Config::parse(yaml, "test.yaml", overrides);
}

}  // namespace

TEST_CASE("config: typed reads, defaults, required keys") {
    const Config config = parse("a: {n: 3, x: 0.5, big: 1e5, yes: true, word: abc, list: [1, 2.5]}");
    const Config a = config.section("a");
    CHECK(a.integer("n", std::nullopt, at_least(0), "") == 3);
    CHECK(a.integer("big", std::nullopt, at_least(0), "") == 100000);
    CHECK(a.integer("absent", 7, at_least(0), "") == 7);
    CHECK(a.number("x", std::nullopt, between(0, 1), "") == 0.5);
    CHECK(a.flag("yes", std::nullopt, ""));
    CHECK(a.word("word", std::nullopt, "") == "abc");
    CHECK(a.choice("word", std::nullopt, {"abc", "def"}, "") == "abc");
    CHECK(a.numbers("list", std::nullopt, Range{}, "") == std::vector{1.0, 2.5});
    CHECK(a.numbers("x", std::nullopt, Range{}, "") == std::vector{0.5});
    config.finish();
    CHECK(contains(input_error_of([&] { a.integer("needed", std::nullopt, at_least(2), "how many"); }),
                   "a.needed is missing"));
}

TEST_CASE("config: wrong type and range name key, line, value and what is allowed") {
    const Config config = parse("a:\n  n: many\n  x: 1.5\n  e:\n  half: 2.5\n");
    const Config a = config.section("a");
    std::string message = input_error_of([&] { a.integer("n", 1, at_least(1), "count"); });
    CHECK(contains(message, "a.n (test.yaml, line 2)"));
    CHECK(contains(message, "'many'"));
    message = input_error_of([&] { a.number("x", 0.0, between(0, 1), "share"); });
    CHECK(contains(message, "a.x (test.yaml, line 3) is 1.5"));
    CHECK(contains(message, "0 <= x <= 1"));
    CHECK(contains(input_error_of([&] { a.number("e", 0.0, between(0, 1), ""); }), "has no value"));
    CHECK(contains(input_error_of([&] { a.integer("half", 0, between(0, 9), ""); }), "whole number"));
    CHECK(contains(input_error_of([&] { a.choice("n", "few", {"few", "mane"}, ""); }), "did you mean 'mane'"));
    CHECK(contains(input_error_of([&] { parse("x: .nan").number("x", 0.0, Range{}, ""); }), "x"));
}

TEST_CASE("config: a key that nobody reads is an error with the nearest known name") {
    const Config config = parse("optimizer: {learning_rat: 1}");
    config.section("optimizer").number("learning_rate", 0.1, above(0), "");
    const std::string message = input_error_of([&] { config.finish(); });
    CHECK(contains(message, "optimizer.learning_rat"));
    CHECK(contains(message, "did you mean optimizer.learning_rate?"));

    const Config section = parse("optimiser: {learning_rate: 1}");
    section.section("optimizer").number("learning_rate", 0.1, above(0), "");
    CHECK(contains(input_error_of([&] { section.finish(); }), "did you mean optimizer?"));

    const Config entry = parse("model: [{layer: dense, unit: 3}]");
    entry.list("model")[0].word("layer", std::nullopt, "");
    entry.list("model")[0].integer("units", 1, at_least(1), "");
    CHECK(contains(input_error_of([&] { entry.finish(); }), "model.0.unit"));
}

TEST_CASE("config: an empty section that is read is no unknown key, one that is not is") {
    for (const char* yaml : {"{}", "parallel: {}", "parallel: {}\noptimizer: {}"}) {
        const Config config = parse(yaml);
        config.section("parallel").integer("shards", 1, at_least(1), "");
        config.section("optimizer").number("rate", 0.1, above(0), "");
        CHECK(input_error_of([&] { config.finish(); }) == "");
    }
    for (const char* yaml : {"paralel: {}", "parallel: {shards: {}}", "parallel: {chards: {}}", "other: []"}) {
        const Config config = parse(yaml);
        config.section("parallel");
        CHECK(contains(input_error_of([&] { config.finish(); }), "unknown key"));
    }
}

TEST_CASE("config: overrides") {
    const Config config =
        parse("a: {b: 1}\nm: [{u: 1}, {u: 2}]\nc: magnitude", {"a.b=5", "m.1.u=7", "new.key=x", "c.norm=l2"});
    CHECK(config.section("a").integer("b", 0, Range{}, "") == 5);
    CHECK(config.list("m")[1].integer("u", 0, Range{}, "") == 7);
    CHECK(config.list("m")[0].integer("u", 0, Range{}, "") == 1);
    CHECK(config.section("new").word("key", std::nullopt, "") == "x");
    CHECK(config.section("c").word("type", std::nullopt, "") == "magnitude");
    CHECK(config.section("c").word("norm", std::nullopt, "") == "l2");
    config.finish();
    CHECK(contains(input_error_of([] { parse("a: 1", {"a"}); }), "key.path=value"));
    CHECK(contains(input_error_of([] { parse("m: [1]", {"m.4=1"}); }), "below 1"));
    CHECK(contains(input_error_of([] { parse("a: 1", {"b=[1"}); }), "no valid YAML"));
}

TEST_CASE("config: a word stands for the type of its section") {
    const Config config = parse("criterion: magnitude\nlist: {type: cubic}");
    CHECK(config.section("criterion").choice("type", "random", {"magnitude", "random"}, "") == "magnitude");
    CHECK(config.section("criterion").integer("other", 4, Range{}, "") == 4);
    CHECK(config.section("list").choice("type", std::nullopt, {"cubic"}, "") == "cubic");
    config.finish();
}

TEST_CASE("config: syntax errors and twin keys") {
    CHECK(contains(input_error_of([] { parse("a: [1"); }), "test.yaml"));
    CHECK(contains(input_error_of([] { parse("- 1"); }), "holds no configuration"));
    CHECK(contains(input_error_of([] { parse("a: 1\nb: {c: 1, c: 2}"); }), "'c' is given twice"));
}

TEST_CASE("config: the resolved text reads back as the same configuration") {
    const auto read = [](const Config& config) {
        const Config a = config.section("a");
        std::string all =
            text(a.number("rate", 0.1, above(0), ""), " ", a.integer("n", 5, Range{}, ""), " ", a.word("w", "no", ""),
                 " ", a.flag("f", true, ""), " ", a.numbers("l", std::vector{1.0, 0.1}, Range{}, "")[1]);
        for (const auto& entry : config.list("model"))
            all += text(" ", entry.word("layer", std::nullopt, ""), entry.integer("units", 3, Range{}, ""));
        all += config.section("short").word("type", std::nullopt, "");
        config.finish();
        return all;
    };
    const Config first =
        parse("a: {rate: 0.30000000000000004, w: 'true'}\nmodel: [{layer: x}, {layer: y, units: 4}]\nshort: cut");
    const std::string values = read(first);
    const Config second = parse(first.resolved());
    CHECK(read(second) == values);
    CHECK(second.resolved() == first.resolved());
}

TEST_CASE("config: keys of a place have the values that were used, each once and in the order of reads") {
    const Config config = parse("model: [{layer: x, units: 4}, {layer: y}]\nunits: 7");
    const Config entry = config.list("model")[0];
    for (int times = 0; times < 2; ++times) {
        CHECK(entry.word("layer", std::nullopt, "") == "x");
        CHECK(entry.number("rate", 0.1, above(0), "") == 0.1);
        CHECK(entry.integer("units", 3, Range{}, "") == 4);
        CHECK(entry.flag("bias", true, ""));
        CHECK(entry.numbers("sizes", std::vector{1.0, 2.0}, Range{}, "").size() == 2);
        CHECK(entry.section("inside").integer("depth", 5, Range{}, "") == 5);
        CHECK(config.integer("units", 3, Range{}, "") == 7);
    }
    const auto keys = entry.resolved_keys();
    std::vector<std::string> names;
    for (const auto& key : keys) names.push_back(key.name);
    CHECK(names == std::vector<std::string>{"layer", "rate", "units", "bias", "sizes", "inside.depth"});
    CHECK(std::get<std::string>(keys[0].value) == "x");
    CHECK(std::get<double>(keys[1].value) == 0.1);
    CHECK(std::get<index_t>(keys[2].value) == 4);
    CHECK(std::get<bool>(keys[3].value));
    CHECK(std::get<std::vector<double>>(keys[4].value) == std::vector{1.0, 2.0});
    CHECK(std::get<index_t>(keys[5].value) == 5);
    CHECK(config.list("model")[1].resolved_keys().empty());
}

TEST_CASE("config: a key that is a number is no place in a list") {
    const auto read = [](const Config& config) {
        const Config table = config.section("table");
        return text(table.integer("0", 5, Range{}, ""), table.integer("out", 5, Range{}, ""));
    };
    const Config first = parse("table: {0: 1, out: 2}");
    CHECK(read(first) == "12");
    CHECK(read(parse(first.resolved())) == "12");
}

TEST_CASE("config: describing returns defaults and prints every key") {
    const Config config = Config::describing();
    CHECK(config.section("a").integer("n", 5, between(1, 9), "how many") == 5);
    config.section("a").member("type: x").number("rate", std::nullopt, above(0), "how fast");
    const std::string text = config.describe();
    CHECK(contains(text, "a.n"));
    CHECK(contains(text, "how many"));
    CHECK(contains(text, "1 <= x <= 9"));
    CHECK(contains(text, "default 5"));
    CHECK(contains(text, "a.rate   (type: x)"));
    CHECK(contains(text, "required"));
}

TEST_CASE("config: a wrong value of an override is said to stand on the command line") {
    const Config config = parse("a:\n  n: 1\n  m: x\nlist: [{n: 1}]\n", {"a.n=many", "list.0={n: few}"});
    const auto message_at = [](const Config& section, const std::string& key) {
        return input_error_of([&] { section.integer(key, 1, at_least(1), "count"); });
    };
    CHECK(contains(message_at(config.section("a"), "n"), "a.n (command line) is 'many'"));
    CHECK(contains(message_at(config.section("a"), "m"), "a.m (test.yaml, line 3) is 'x'"));
    CHECK(contains(message_at(config.list("list")[0], "n"), "list.0.n (command line) is 'few'"));
}

TEST_CASE("config: circles and deep nesting are refused, in overrides too") {
    CHECK(contains(input_error_of([] { parse("a: &all [*all]"); }), "an alias is inside of what it names"));
    CHECK(contains(input_error_of([] { parse("a: 1", {"b=&all {c: *all}"}); }), "override 'b=&all {c: *all}'"));
    CHECK(contains(input_error_of([] { parse("a: 1", {"b={c: 1, c: 2}"}); }), "'c' is given twice"));
    CHECK(contains(input_error_of([] { parse("a: " + std::string(150, '[') + std::string(150, ']')); }),
                   "nested deeper"));
    CHECK(input_error_of([] { parse("a: &one {n: 1}\nb: *one"); }) == "");
}

TEST_CASE("config: aliases that stand for more than there is time for are refused") {
    std::string yaml = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n";
    for (int i = 0; i < 20; ++i) {  // 10^21 ones
        const std::string alias = text("*a", i);
        yaml += text("a", i + 1, ": &a", i + 1, " [");
        for (int k = 0; k < 10; ++k) yaml += alias + ", ";
        yaml += "]\n";
    }
    CHECK(contains(input_error_of([&] { parse(yaml); }), "test.yaml has more than 1000000 values"));
}

TEST_CASE("config: control characters and broken UTF-8 are refused, in keys, values and overrides") {
    const std::string refusal = "has a control character or is no UTF-8";
    for (const std::string yaml : {"a: 1\nname: \"x\\ny\"", "a: 1\nname: \"x\\0y\"", "a: 1\nname: x\xFFy",
                                   "a: 1\n\"x\\e\": 1", "a: 1\nlist: [\"\\x9B\"]", "a: 1\nname: |\n  x\n"})
        CHECK_MESSAGE(contains(input_error_of([&] { parse(yaml); }), "test.yaml line 2: a key or value " + refusal),
                      yaml);
    CHECK(contains(input_error_of([] { parse("a: 1", {"b=\"\\r\""}); }), refusal));
    CHECK(input_error_of([] { parse("a: größe\nb: >-\n  two\n  lines\n"); }) == "");
}

TEST_CASE("config: a tag makes nothing but the word behind it") {
    const Config config = parse("a: !!python/object/apply:os.system 'touch x'\nb: !include /etc/passwd");
    CHECK(config.word("a", std::nullopt, "") == "touch x");
    CHECK(config.word("b", std::nullopt, "") == "/etc/passwd");
}

namespace {

/// A part of a configuration whose keys had other names once.
struct Renamed {
    explicit Renamed(const Config& config) : all(config) {
        const Config section = config.section("prune");
        section.alias("granularity", "grouping");
        section.alias_word("on_failure", "continue", "go_on");
        type = section.section("granularity").word("type", "weight", "what is pruned together");
        rows = section.section("granularity").integer("rows", 1, at_least(1), "of a block");
        on_failure = section.choice("on_failure", "stop", {"stop", "continue"}, "what to do");
        config.finish();
    }

    Config all;
    std::string type, on_failure;
    index_t rows;
};

}  // namespace

TEST_CASE("config: a key and a word have old names") {
    const Renamed old(parse("prune:\n  on_failure: go_on\n  grouping: {type: block, rows: 2}"));
    const Renamed present(parse("prune: {granularity: {type: block, rows: 2}, on_failure: continue}"));
    CHECK(old.type == "block");
    CHECK(old.rows == 2);
    CHECK(old.on_failure == "continue");
    CHECK(old.all.resolved() == present.all.resolved());
    CHECK(present.all.notes().empty());
    CHECK(old.all.notes() ==
          std::vector<std::string>{"prune.grouping (test.yaml, line 3) is now prune.granularity: write that",
                                   "prune.on_failure (test.yaml, line 2): go_on is now continue: write that"});
    const std::string earlier = "prune:\n  granularity:\n    type: block\n    rows: 2\n  on_failure: continue\n";
    CHECK(present.all.resolved() == earlier);
    CHECK(present.all.with_present_names("prune:\n  grouping:\n    type: block\n    rows: 2\n  on_failure: go_on\n") ==
          earlier);
    const Config described = Config::describing();
    const Renamed all(described);
    CHECK(contains(described.describe(), "prune.granularity.rows"));
    CHECK(!contains(described.describe(), "grouping"));
    CHECK(!contains(described.describe(), "go_on"));
}

TEST_CASE("config: overrides by old names, of texts with either name") {
    for (const char* yaml :
         {"prune: {grouping: {type: block, rows: 2}}", "prune: {granularity: {type: block, rows: 2}}"}) {
        CHECK(Renamed(parse(yaml, {"prune.grouping.rows=3"})).rows == 3);
        CHECK(Renamed(parse(yaml, {"prune.granularity.rows=3"})).rows == 3);
        CHECK(Renamed(parse(yaml, {"prune.grouping.type=row"})).type == "row");
        CHECK(Renamed(parse(yaml, {"prune.grouping=row"})).rows == 1);
        CHECK(Renamed(parse(yaml, {"prune.grouping=row", "prune.granularity=column"})).type == "column");
        CHECK(Renamed(parse(yaml, {"prune.granularity=column", "prune.grouping=row"})).type == "row");
        CHECK(Renamed(parse(yaml, {"prune={grouping: row}"})).type == "row");
        CHECK(Renamed(parse(yaml, {"prune.on_failure=go_on"})).on_failure == "continue");
    }
    CHECK(Renamed(parse("{}", {"prune.grouping=row"})).all.notes() ==
          std::vector<std::string>{"prune.grouping (command line) is now prune.granularity: write that"});
}

TEST_CASE("config: a key that is given under both names is refused") {
    const std::string refusal = input_error_of([] { Renamed(parse("prune:\n  granularity: row\n  grouping: row")); });
    CHECK(contains(refusal, "prune.grouping (test.yaml, line 3) and prune.granularity (test.yaml, line 2)"));
    CHECK(contains(input_error_of([] { Renamed(parse("{}", {"prune={granularity: row, grouping: row}"})); }),
                   "prune.grouping (command line) and prune.granularity (command line)"));
    CHECK(contains(input_error_of([] { Renamed(parse("prune:\n  grouping: {rows: 0}")); }),
                   "prune.granularity.rows (test.yaml, line 2) is 0"));
}

TEST_CASE("config: a list of texts, or one text") {
    const Config config = parse("one: a.csv\nseveral: [a, 'b, c', 3]\nnone: []\nwrong: [[a]]\nmap: {a: b}");
    using Words = std::vector<std::string>;
    CHECK(config.words("one", std::nullopt, "") == Words{"a.csv"});
    CHECK(config.words("several", std::nullopt, "") == Words{"a", "b, c", "3"});
    CHECK(config.words("none", Words{"x"}, "").empty());
    CHECK(config.words("absent", Words{"x", "y"}, "") == Words{"x", "y"});
    CHECK_THROWS_AS(config.words("wrong", std::nullopt, ""), InputError);
    CHECK_THROWS_AS(config.words("map", std::nullopt, ""), InputError);
    CHECK_THROWS_AS(config.words("required", std::nullopt, ""), InputError);
    const Config again = Config::parse(config.resolved(), "resolved.yaml", {});
    for (const std::string key : {"one", "several", "none", "absent"})
        CHECK(again.words(key, std::nullopt, "") == config.words(key, Words{"x", "y"}, ""));
}
