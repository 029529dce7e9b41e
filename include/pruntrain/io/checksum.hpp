// XXH3, 64 bits (Collet, xxhash.com): detects accidental changes at memory speed; not cryptographic.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace pruntrain {

/// The checksum of bytes that arrive in pieces. It does not depend on how they are split.
class Checksum {
   public:
    Checksum();
    ~Checksum();

    void add(std::span<const std::byte> bytes);
    std::string digits() const;  ///< of all bytes so far, 16 hexadecimal digits

   private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string checksum(std::span<const std::byte> bytes);

}  // namespace pruntrain
