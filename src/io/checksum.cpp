#include "pruntrain/io/checksum.hpp"

#include <xxhash.h>

#include <new>

#include "pruntrain/base/text.hpp"

namespace pruntrain {

struct Checksum::State {
    XXH3_state_t* xxh3 = XXH3_createState();
    ~State() { XXH3_freeState(xxh3); }
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
    if (state_->xxh3 == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(state_->xxh3);
}

Checksum::~Checksum() = default;

void Checksum::add(std::span<const std::byte> bytes) { XXH3_64bits_update(state_->xxh3, bytes.data(), bytes.size()); }

std::string Checksum::digits() const { return hex(XXH3_64bits_digest(state_->xxh3)); }

std::string checksum(std::span<const std::byte> bytes) { return hex(XXH3_64bits(bytes.data(), bytes.size())); }

}  // namespace pruntrain
