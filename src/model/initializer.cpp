#include <map>

#include "pruntrain/model/layer.hpp"

namespace pruntrain {

Initializer read_initializer(const Config& config) {
    static const std::map<std::string, Initializer> initializers{
        {"glorot_normal", Initializer::glorot_normal},
        {"glorot_uniform", Initializer::glorot_uniform},
        {"he_normal", Initializer::he_normal},
        {"he_uniform", Initializer::he_uniform},
    };
    std::vector<std::string> names;
    for (const auto& [name, value] : initializers) names.push_back(name);
    return initializers.at(config.choice("initializer", "he_normal", names, "distribution of the initial weights"));
}

}  // namespace pruntrain
