#include "pruntrain/math/blas.hpp"

#include <cblas.h>
#include <hwy/targets.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace pruntrain {

namespace {

CBLAS_TRANSPOSE cblas(Transpose transpose) { return transpose == Transpose::yes ? CblasTrans : CblasNoTrans; }

/// OpenBLAS selects its kernels from a list of processors when it is loaded. For a processor newer than the list it
/// selects those of the Prescott of 2004. @return a core type whose kernels this processor can run, or null if the
/// selection is good
const char* better_core() {
    if (std::string_view(openblas_get_corename()) != "Prescott") return nullptr;
#if HWY_ARCH_X86
    const auto supported = hwy::SupportedTargets();
    if ((supported & HWY_AVX3) != 0) return "SkylakeX";
    if ((supported & HWY_AVX2) != 0) return "Haswell";
#endif
    return nullptr;
}

}  // namespace

void set_up_blas(char** argv) {
    const char* const core = better_core();
    if (core != nullptr && std::getenv("OPENBLAS_CORETYPE") == nullptr) {
        setenv("OPENBLAS_CORETYPE", core, 1);
        std::error_code error;  // on failure, the slow kernels are used
        execv(std::filesystem::read_symlink("/proc/self/exe", error).c_str(), argv);
    }
    openblas_set_num_threads(1);
}

void matrix_multiply(Transpose transpose_a, Transpose transpose_b, index_t m, index_t n, index_t k, const real* a,
                     index_t lda, const real* b, index_t ldb, real beta, real* c, index_t ldc) {
    const auto to_blas = [](index_t size) { return static_cast<blasint>(size); };
#ifdef PRUNTRAIN_DOUBLE
    cblas_dgemm(
#else
    cblas_sgemm(
#endif
        CblasRowMajor, cblas(transpose_a), cblas(transpose_b), to_blas(m), to_blas(n), to_blas(k), real{1}, a,
        to_blas(lda), b, to_blas(ldb), beta, c, to_blas(ldc));
}

const char* blas_description() { return openblas_get_config(); }

}  // namespace pruntrain
