#include "pruntrain/model/model_hash.hpp"

#define XXH_INLINE_ALL  // for inputs of a few bytes, where a call costs more than the hash
#include <xxhash.h>

#include <array>
#include <bit>

namespace pruntrain {

namespace {

std::uint64_t hash(weight_number_t number) { return XXH3_64bits(&number, sizeof number); }

std::uint64_t hash(weight_number_t number, real value) {
    std::array<std::uint64_t, 2> both{number, 0};
#ifdef PRUNTRAIN_DOUBLE
    both[1] = std::bit_cast<std::uint64_t>(value);
#else
    both[1] = std::bit_cast<std::uint32_t>(value);
#endif
    return XXH3_64bits(both.data(), sizeof both);
}

}  // namespace

ModelHash hash_model(Network& network) {
    ModelHash sums;
    weight_number_t next = 0;  // statistics are indexed after all parameters
    for (const auto* parameter : network.parameters()) {
        parameter->for_each_number([&](index_t k, weight_number_t number) {
            if (parameter->prunable) sums.pattern += hash(number);
            sums.weights += hash(number, parameter->value[k]);
        });
        next = parameter->first_number + static_cast<weight_number_t>(parameter->tensor_size());
    }
    for (const auto& [layer, statistic] : network.statistics()) {
        const ChannelBlock& channels = layer->own_channels();
        weight_number_t number = next + static_cast<weight_number_t>(channels.first);
        for (const real value : statistic->values) sums.weights += hash(number++, value);
        next += static_cast<weight_number_t>(channels.total);
    }
    return sums;
}

}  // namespace pruntrain
