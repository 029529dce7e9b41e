#include "pruntrain/data/sample_store.hpp"

#include <algorithm>
#include <utility>

namespace pruntrain {

void SampleCopies::reset(Part wanted_part, std::span<const index_t> wanted, std::size_t sample_bytes) {
    part = wanted_part;
    samples.assign(wanted.begin(), wanted.end());
    std::ranges::sort(samples);
    samples.erase(std::unique(samples.begin(), samples.end()), samples.end());
    features.resize(samples.size() * sample_bytes);
}

bool SampleCopies::find(Part wanted_part, std::span<const index_t> wanted, std::span<const std::byte*> places) const {
    if (wanted_part != part) return false;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto found = std::ranges::lower_bound(samples, wanted[i]);
        if (found == samples.end() || *found != wanted[i]) return false;
        const std::size_t place = found - samples.begin();
        places[i] = features.data() + place * (features.size() / samples.size());
    }
    return true;
}

void CopyingStore::fetch(Part part, std::span<const index_t> samples, std::span<const std::byte*> features) {
    finish();
    if (ahead_.find(part, samples, features)) return;
    start(now_, part, samples);
    finish();
    now_.find(part, samples, features);
}

void CopyingStore::prefetch(Part part, std::span<const index_t> samples) {
    finish();
    start(ahead_, part, samples);
}

void CopyingStore::start(SampleCopies& copies, Part part, std::span<const index_t> samples) {
    copies.reset(part, samples, sample_bytes_);
    under_way_ = true;
    start_copy(copies);
}

void CopyingStore::finish() {
    if (!std::exchange(under_way_, false)) return;
    try {
        finish_copy();
    } catch (...) {
        ahead_.samples.clear();  // so that no sample is found that was not read
        throw;
    }
}

}  // namespace pruntrain
