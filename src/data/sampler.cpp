#include "pruntrain/data/sampler.hpp"

#include "pruntrain/base/range.hpp"

#include <algorithm>

#include "pruntrain/base/random.hpp"

namespace pruntrain {

Sampler::Sampler(index_t samples, index_t global_batch, std::uint64_t seed)
    : samples_(samples), global_batch_(global_batch), seed_(seed) {}

BatchPart Sampler::part(index_t step, index_t slice, index_t slices) const {
    const index_t begin = step % steps_per_epoch() * global_batch_;
    const index_t global_samples = std::min(global_batch_, samples_ - begin);
    const Block block = even_block(global_samples, slice, slices);
    return {step / steps_per_epoch(), global_samples, block.first, block.size};
}

void Sampler::draw(index_t step, const BatchPart& part, std::vector<index_t>& numbers) const {
    const Permutation order(samples_, RandomStream(seed_, Purpose::shuffle, 0, part.epoch));
    const index_t begin = step % steps_per_epoch() * global_batch_ + part.first;
    numbers.resize(part.samples);
    for (index_t i = 0; i < part.samples; ++i) numbers[i] = order(begin + i);
}

}  // namespace pruntrain
