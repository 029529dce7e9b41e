#!/bin/sh
# Compiles a short program against each library that pruntrain needs. Lists those that are missing, with the Debian package
# and the Makefile variable to set. The Makefile calls it with MPICXX, CXXFLAGS and each library's *_LIBS.
missing=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

report() {     # report NAME PACKAGE VARIABLES
    [ "$missing" = 1 ] || echo "Missing dependencies:" >&2
    missing=1
    echo "  $1: Debian package $2; elsewhere set $3" >&2
}

if ! command -v "${MPICXX%% *}" >/dev/null; then
    report "an MPI compiler ('$MPICXX')" "libopenmpi-dev, openmpi-bin" "MPICXX"
else
    need() {    # need NAME HEADER EXPRESSION LIBRARIES PACKAGE VARIABLES
        printf '#include <%s>\nint main() { %s; }\n' "$2" "$3" >"$folder/piece.cpp"
        # eval: the flags are lists of words that may contain quotes
        eval "$MPICXX -w $CXXFLAGS -O0 $folder/piece.cpp $4 -o $folder/piece" >"$folder/log" 2>&1 || report "$1" "$5" "$6"
    }
    need "a C++20 compiler" "concepts" "static_assert(__cplusplus >= 202002L)" "" "g++" "MPICXX or OMPI_CXX to a newer compiler"
    need "MPI" "mpi.h" "MPI_Init(nullptr, nullptr)" "" "libopenmpi-dev" "MPICXX"
    need "HDF5" "hdf5.h" "H5open()" "$HDF5_LIBS" "libhdf5-openmpi-dev" "HDF5_CFLAGS, HDF5_LIBS"
    need "OpenBLAS" "cblas.h" "openblas_set_num_threads(1)" "$BLAS_LIBS" "libopenblas-dev" "BLAS_CFLAGS, BLAS_LIBS"
    need "Google Highway" "hwy/highway.h" "hwy::TargetName(0)" "$HWY_LIBS" "libhwy-dev" "HWY_CFLAGS, HWY_LIBS"
    need "yaml-cpp" "yaml-cpp/yaml.h" 'YAML::Load("a: 1")' "$YAML_LIBS" "libyaml-cpp-dev" "YAML_CFLAGS, YAML_LIBS"
    need "xxHash" "xxhash.h" "XXH3_64bits(nullptr, 0)" "$XXHASH_LIBS" "libxxhash-dev" "XXHASH_CFLAGS, XXHASH_LIBS"
    need "zlib" "zlib.h" "zlibVersion()" "$ZLIB_LIBS" "zlib1g-dev" "EXTRA_CFLAGS, ZLIB_LIBS"
    need "LibLZF" "lzf.h" "lzf_decompress(nullptr, 0, nullptr, 0)" "$LZF_CFLAGS $LZF_LIBS" "liblzf-dev" "LZF_CFLAGS, LZF_LIBS"
    need "CLI11" "CLI/CLI.hpp" "CLI::App app" "" "libcli11-dev" "EXTRA_CFLAGS"
    need "JSON for Modern C++" "nlohmann/json.hpp" "nlohmann::json json" "" "nlohmann-json3-dev" "EXTRA_CFLAGS"
    need "Random123" "Random123/philox.h" "r123::Philox4x32 philox" "" "librandom123-dev" "EXTRA_CFLAGS"
fi

[ "$missing" = 0 ] || { echo "On Debian 12 'scripts/setup.sh build' installs all of them." >&2; exit 1; }
