#include "pruntrain/train/batch_feed.hpp"

namespace pruntrain {

index_t Batch::samples() const {
    index_t sum = 0;
    for (const Slice& slice : slices) sum += slice.samples;
    return sum;
}

void BatchFeed::prepare(index_t step, index_t width, std::optional<index_t> after) {
    if (is_ready(step, width)) return;
    step_ = -1;  // in case assembling throws
    const index_t features = dataset_.shape().size(), place = Tiling{slice_samples_, width}.size(features);
    inputs_.resize(slices_.own().size * place);
    batch_.slices.clear();
    for (index_t slice = 0; slice < slices_.own().size; ++slice) {
        const BatchPart part = sampler_.part(step, slices_.own().first + slice, slices_.count());
        batch_.slices.push_back({part.first, part.samples, inputs_.data() + slice * place});
        batch_.global_samples = part.global_samples;
    }
    batch_.targets.resize(batch_.samples() * dataset_.target_width());
    float* targets = batch_.targets.data();
    for (index_t slice = 0; slice < slices_.own().size; ++slice) {
        const Slice& own = batch_.slices[slice];
        sampler_.draw(step, sampler_.part(step, slices_.own().first + slice, slices_.count()), indices_);
        dataset_.assemble(Split::train, indices_, {own.samples, width}, own.input, targets);
        targets += own.samples * dataset_.target_width();
    }
    step_ = step;
    width_ = width;
    if (!after || !dataset_.reads_ahead()) return;
    std::vector<index_t> all;
    for (index_t slice = 0; slice < slices_.own().size; ++slice) {
        sampler_.draw(*after, sampler_.part(*after, slices_.own().first + slice, slices_.count()), indices_);
        all.insert(all.end(), indices_.begin(), indices_.end());
    }
    dataset_.prefetch(Split::train, all);
}

}  // namespace pruntrain
