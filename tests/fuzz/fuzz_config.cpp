// YAML that anybody may have written, and overrides, behind zero bytes: parsed, walked with every typed read, then read
// as the program does.
#include "fuzz.hpp"
#include "pruntrain/config/config.hpp"
#include "pruntrain/data/dataset.hpp"
#include "pruntrain/model/network.hpp"
#include "pruntrain/train/experiment.hpp"

using namespace pruntrain;

namespace {

void walk(const Config& config, int& keys_left) {
    for (const auto& key : config.keys()) {
        if (--keys_left < 0) return;
        const auto read = [&](const auto& work) { fuzz::accepted(work); };
        read([&] { config.integer(key, 1, at_least(0), ""); });
        read([&] { config.number(key, 1.0, above(0), ""); });
        read([&] { config.flag(key, true, ""); });
        read([&] { config.word(key, "", ""); });
        read([&] { config.choice(key, "", {"one", "two"}, ""); });
        read([&] { config.numbers(key, std::nullopt, {}, ""); });
        read([&] { walk(config.section(key), keys_left); });
        read([&] {
            for (const auto& entry : config.list(key)) walk(entry, keys_left);
        });
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::string> words(1);
    for (const char letter : std::string(data, data + size))
        if (letter == '\0') words.emplace_back();
        else words.back() += letter;
    const std::vector<std::string> overrides(words.begin() + 1, words.end());
    const auto parse = [&] { return Config::parse(words.front(), "fuzz.yaml", overrides); };

    fuzz::accepted([&] {
        const Config config = parse();
        int keys_left = 1000;  // aliases: a short text may stand for many
        walk(config, keys_left);
        fuzz::accepted([&] { config.finish(); });
        config.describe();
        Config::parse(config.resolved(), "resolved", {});
    });
    fuzz::accepted([&] {
        const Config config = parse();
        const Settings settings(config);
        fuzz::require(settings.name.find('/') == std::string::npos && settings.name != "..");
        Dataset::describe(config.section("data"));
        const std::vector<Config> model = config.list("model");
        Network network(model, {1, 28, 28}, {}, {}, false);
        for (std::size_t i = 0; i < network.layer_count(); ++i)
            fuzz::require(network.layer(i).name().find_first_of("/.\n") == std::string::npos);
    });
    return 0;
}
