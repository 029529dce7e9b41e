// Number types of the whole program.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

namespace pruntrain {

/// The floating-point type of weights, gradients and activations. The double build exists for gradient checks.
#ifdef PRUNTRAIN_DOUBLE
using real = double;
#else
using real = float;
#endif

/// Counts, sizes and positions inside one rank. Signed, so that differences are safe.
using index_t = std::int64_t;

/// Index of a weight in the whole model, the same for every rank count and process grid (see model/parameter.hpp).
using weight_number_t = std::uint64_t;

/// A hot plain loop that the compiler vectorizes for several instruction sets; the best one is selected at load time.
/// So one binary runs on every node of a mixed cluster. Hand-written kernels use Google Highway instead.
#if defined(__x86_64__) && defined(__linux__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define PRUNTRAIN_VECTORIZED [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#else
#define PRUNTRAIN_VECTORIZED
#endif
/// For lambdas and functions called by such a function: one that is not inlined would be compiled for the baseline.
#define PRUNTRAIN_INLINED __attribute__((always_inline))

/// Allocates on cache-line boundaries, so that vector loads never straddle two lines.
template <class T>
struct CacheLineAllocator {
    using value_type = T;
    static constexpr std::align_val_t alignment{64};

    CacheLineAllocator() = default;
    template <class U>
    CacheLineAllocator(const CacheLineAllocator<U>&) {}

    T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), alignment)); }
    void deallocate(T* memory, std::size_t) { ::operator delete(memory, alignment); }
    friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
};

template <class T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

}  // namespace pruntrain
