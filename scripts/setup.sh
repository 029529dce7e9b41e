#!/bin/sh
# Installs the Debian packages that pruntrain needs and that are missing; does nothing where all are present.
#
#   scripts/setup.sh build     # what `make` needs
#   scripts/setup.sh demo      # and the Fashion-MNIST data
#   scripts/setup.sh test      # and what the tests need
#   scripts/setup.sh lint      # and what `make lint` needs
#   scripts/setup.sh fuzz      # and what `make fuzz` needs
#   scripts/setup.sh bench     # and what `make bench` and `make study` need
#
# Needs root, or a user who may use sudo. On a cluster without either, load modules and see docs/building.md: set
# PRUNTRAIN_SKIP_SETUP=1 and the Makefile names each piece that it cannot find.
set -eu

build="g++ make pkg-config openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libopenblas-dev libyaml-cpp-dev libhwy-dev
       librandom123-dev libcli11-dev nlohmann-json3-dev libxxhash-dev zlib1g-dev"
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
    exit 0      # the Makefile checks for each piece and names what is missing
fi

missing=""
for package in $wanted; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: these packages are missing and there is neither root nor sudo to install them:$missing" >&2
        echo "setup: ask an administrator, or see docs/building.md" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "setup: installing$missing" >&2
$as_root apt-get update -qq
# shellcheck disable=SC2086   # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
