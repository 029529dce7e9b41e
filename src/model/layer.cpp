#include "pruntrain/model/layer.hpp"

#include <algorithm>

#include "pruntrain/base/error.hpp"

namespace pruntrain {

namespace {

ChannelBlock shard_channels(const LayerPlace& place, index_t outputs) {
    const ModelShard& shard = place.shard;
    const index_t configured = outputs;
    const auto cut = shard.cuts.find(place.name);
    if (cut != shard.cuts.end()) {
        if (static_cast<index_t>(cut->second.size()) != shard.count + 1 || cut->second.back() > outputs)
            input_error("layer ", place.name, " is partitioned into ", cut->second.size() - 1, " blocks of ",
                        cut->second.back(), " outputs, but has ", outputs, " outputs on ", shard.count,
                        " shards: the partition belongs to another network");
        outputs = cut->second.back();
    }
    if (outputs < shard.count)
        input_error("layer ", place.name, " has ", outputs,
                    " outputs, too few for parallel.model_shards: ", shard.count,
                    ": each shard needs at least one output; allowed is <= ", outputs);
    std::vector<index_t> offsets;
    if (cut != shard.cuts.end()) {
        offsets = cut->second;
    } else {
        for (index_t number = 0; number <= shard.count; ++number)
            offsets.push_back(even_block(outputs, number, shard.count).first);
    }
    return {offsets[shard.number], outputs, offsets, configured};
}

}  // namespace

OutputShare share_outputs(const LayerPlace& place, index_t outputs) {
    const ChannelBlock blocks = shard_channels(place, outputs);
    const Block own = blocks.of(place.shard.number);
    if (place.channels.total <= place.input.channels) return {own, own, blocks, {}};
    return {own, {0, blocks.total}, {0, blocks.total, {}, blocks.configured}, blocks};
}

Layer::Layer(LayerPlace place, Shape output) : place_(std::move(place)), output_(output) {
    if (place_.channels.total == 0) place_.channels.total = place_.input.channels;
    channels_ = place_.channels;
    const index_t pixels =
        output.channels / std::max<index_t>(1, place_.input.channels);  // features per channel after flatten
    channels_.first *= pixels;
    channels_.total *= pixels;
    channels_.configured *= pixels;
    for (index_t& begin : channels_.offsets) begin *= pixels;
}

Layer::Layer(LayerPlace place, Shape output, ChannelBlock channels)
    : place_(std::move(place)), output_(output), channels_(std::move(channels)) {
    if (place_.channels.total == 0) place_.channels.total = place_.input.channels;
}

Layer::Layer(LayerPlace place, Shape output, const OutputShare& share)
    : Layer(std::move(place), output, share.outputs) {
    shared_out_ = share.shared_out;
}

std::vector<double> Layer::repeat_constants(const std::vector<double>& inputs) const {
    const std::size_t pixels = output_.channels / std::max<index_t>(1, place_.input.channels);
    std::vector<double> outputs;  // after flatten, all features of a constant channel are constant
    for (const double input : inputs) outputs.insert(outputs.end(), pixels, input);
    return outputs;
}

}  // namespace pruntrain
