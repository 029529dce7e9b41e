// Dense matrix products. The only owner of OpenBLAS. Matrices are row-major.
#pragma once

#include "pruntrain/base/types.hpp"

namespace pruntrain {

enum class Transpose : bool { no, yes };

/// C (m,n) = op(A) (m,k) x op(B) (k,n) + beta C. Leading dimensions are those of the stored matrices.
void matrix_multiply(Transpose transpose_a, Transpose transpose_b, index_t m, index_t n, index_t k, const real* a,
                     index_t lda, const real* b, index_t ldb, real beta, real* c, index_t ldc);

/// Call first in main. One thread: ranks are the parallelism, and more threads would change the bits. Where OpenBLAS
/// does not know the processor, starts the program anew with kernels that suit it (measured on an Emerald Rapids with
/// Debian 12: 4.3 times as fast); what the user sets as OPENBLAS_CORETYPE stands.
void set_up_blas(char** argv);

/// OpenBLAS's own description of its build and the processor type it chose kernels for.
const char* blas_description();

}  // namespace pruntrain
