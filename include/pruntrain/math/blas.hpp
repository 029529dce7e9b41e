// Dense matrix products. The only user of OpenBLAS. Matrices are row-major.
#pragma once

#include "pruntrain/base/types.hpp"

namespace pruntrain {

enum class Transpose : bool { no, yes };

/// C (m,n) = op(A) (m,k) x op(B) (k,n) + beta C. Leading dimensions are those of the stored matrices.
void matrix_multiply(Transpose transpose_a, Transpose transpose_b, index_t m, index_t n, index_t k, const real* a,
                     index_t lda, const real* b, index_t ldb, real beta, real* c, index_t ldc);

/// Call it first in main. Sets one thread: ranks are the parallelism, and more threads would change the bits. If
/// OpenBLAS does not know the processor, restarts the program with suitable kernels (4.3x faster on an Emerald Rapids
/// with Debian 12). OPENBLAS_CORETYPE, if set by the user, has priority.
void set_up_blas(char** argv);

/// OpenBLAS's own description of its build and of the processor type whose kernels it uses.
const char* blas_description();

}  // namespace pruntrain
