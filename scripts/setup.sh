#!/bin/sh
# Installs missing Debian packages that pruntrain needs; does nothing if all are present.
#
#   scripts/setup.sh build     # the dependencies of `make`
#   scripts/setup.sh demo      # also the Fashion-MNIST data
#   scripts/setup.sh test      # also the dependencies of the tests
#   scripts/setup.sh lint      # also the tools of `make lint`
#   scripts/setup.sh fuzz      # also the tools of `make fuzz`
#   scripts/setup.sh bench     # also the dependencies of `make bench` and `make study`
#
# Needs root or sudo. On a cluster without either, load modules and see docs/building.md: set PRUNTRAIN_SKIP_SETUP=1, and
# the Makefile lists each dependency that it cannot find.
set -eu

build="g++ make pkg-config openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libopenblas-dev libyaml-cpp-dev libhwy-dev
       librandom123-dev libcli11-dev nlohmann-json3-dev libxxhash-dev zlib1g-dev liblzf-dev"
demo="$build dataset-fashion-mnist"
tests="$demo doctest-dev python3 python3-h5py python3-scipy python3-anndata python3-torch python3-onnx
       python3-xxhash python3-yaml python3-matplotlib chromium munge slurmctld slurmd slurm-client"
bench="$demo python3 python3-torch python3-yaml python3-numpy python3-matplotlib"

case "${1:-}" in
    build) wanted=$build ;;
    demo)  wanted=$demo ;;
    test)  wanted=$tests ;;
    lint)  wanted="$tests clang-format clang-tidy cppcheck" ;;
    fuzz)  wanted="$build python3 clang libclang-rt-dev llvm" ;;
    bench) wanted=$bench ;;
    *) echo "usage: scripts/setup.sh build|demo|test|lint|fuzz|bench" >&2; exit 2 ;;
esac

if [ "${PRUNTRAIN_SKIP_SETUP:-0}" = 1 ] || ! command -v dpkg-query >/dev/null; then
    exit 0      # the Makefile tests each dependency and lists missing ones
fi

missing=""
for package in $wanted; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: these packages are missing, and installing them needs root or sudo:$missing" >&2
        echo "setup: ask an administrator, or see docs/building.md" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "setup: installing$missing" >&2
$as_root apt-get update -qq
# shellcheck disable=SC2086   # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
