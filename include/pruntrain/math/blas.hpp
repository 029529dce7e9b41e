// Dense matrix products. The only owner of OpenBLAS. Matrices are row-major.
#pragma once

#include "pruntrain/base/types.hpp"

namespace pruntrain {

enum class Transpose : bool { no, yes };

/// C (m,n) = op(A) (m,k) x op(B) (k,n) + beta C. Leading dimensions are those of the stored matrices.
void matrix_multiply(Transpose transpose_a, Transpose transpose_b, index_t m, index_t n, index_t k, const real* a,
                     index_t lda, const real* b, index_t ldb, real beta, real* c, index_t ldc);

/// One thread a rank: ranks are the parallelism, and more threads would change the bits.
void use_one_blas_thread();

/// OpenBLAS's own description of its build and the processor type it chose kernels for.
const char* blas_description();

}  // namespace pruntrain
