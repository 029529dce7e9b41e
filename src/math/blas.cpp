#include "pruntrain/math/blas.hpp"

#include <cblas.h>

namespace pruntrain {

namespace {

CBLAS_TRANSPOSE cblas(Transpose transpose) { return transpose == Transpose::yes ? CblasTrans : CblasNoTrans; }

}  // namespace

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

void use_one_blas_thread() { openblas_set_num_threads(1); }

const char* blas_description() { return openblas_get_config(); }

}  // namespace pruntrain
