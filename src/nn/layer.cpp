#include "pruntrain/nn/layer.hpp"

#include <algorithm>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

Block shard_block(const LayerPlace& place, index_t outputs) {
    if (outputs < place.shard.count)
        input_error("layer ", place.name, " has ", outputs,
                    " outputs, too few for parallel.model_shards: ", place.shard.count,
                    ": each shard holds one at least; allowed is <= ", outputs);
    return even_block(outputs, place.shard.number, place.shard.count);
}

Layer::Layer(LayerPlace place, Shape output) : place_(std::move(place)), output_(output) {
    if (place_.channels.total == 0) place_.channels.total = place_.input.channels;
    channels_ = place_.channels;
    const index_t pixels =
        output.channels / std::max<index_t>(1, place_.input.channels);  // of a channel that became a vector
    channels_.first *= pixels;
    channels_.total *= pixels;
    channels_.grain *= pixels;
}

Layer::Layer(LayerPlace place, Shape output, index_t first, index_t total)
    : place_(std::move(place)), output_(output), channels_{first, total, 1} {
    if (place_.channels.total == 0) place_.channels.total = place_.input.channels;
}

}  // namespace pruntrain
