# make            builds ./pruntrain
# make install    installs the program, its manual page, completion for bash, inputs and scripts below PREFIX (/usr/local)
#                 of DESTDIR (empty); make uninstall removes exactly that; see docs/building.md
# make demo       installs what is missing (apt), builds, trains the demo on two ranks
# make test       installs, builds, runs all tests
# make torture    kills, stops, fills disks and damages files at random; TORTURE="--faults 200 --seed 1"
# make golden     compares small trainings of every kind with recorded results, bit for bit; GOLDEN="--against OTHER_PROGRAM"
# make fuzz       gives the readers of files and configurations hostile input, SECONDS=60 for each; see docs/reliability.md
# make test-sanitized  runs all tests with address and undefined-behaviour sanitizers, in build-sanitized
# make lint       checks format, floors and library owners; clang-tidy and cppcheck
# make study      runs methods x networks x sparsities x seeds and makes docs/results.md; STUDY="--minutes 40" and other options
# make bench      bench-kernels, bench-train, bench-peers, bench-ordered, bench-checkpoints and bench-shards in a short form; see docs/performance.md
#
# On a cluster, override what pkg-config does not find, for instance
#   make MPICXX=mpiCC HDF5_CFLAGS=-I$HDF5/include HDF5_LIBS="-L$HDF5/lib -lhdf5" BLAS_LIBS=-lopenblas PRUNTRAIN_SKIP_SETUP=1

MPICXX   ?= mpicxx
MPIRUN   ?= mpirun
PYTHON   ?= /usr/bin/python3
BUILD    ?= build
OPTIMIZE ?= -O3 -fno-math-errno
# -Wno-restrict: g++ 12 warns wrongly of text + text (GCC bug 105329)
WARNINGS := -Wall -Wextra -Werror=return-type -Wno-restrict
# Of the program, not of its tests. Sizes of the standard library are unsigned, ours are signed (base/types.hpp).
STRICT   := -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi
export PRUNTRAIN_SKIP_SETUP

pkg = $(shell pkg-config $(1) 2>/dev/null)

HDF5_CFLAGS      ?= $(call pkg,--cflags hdf5-openmpi || pkg-config --cflags hdf5)
HDF5_LIBS        ?= $(call pkg,--libs hdf5-openmpi || pkg-config --libs hdf5)
BLAS_CFLAGS      ?= $(call pkg,--cflags openblas)
BLAS_LIBS        ?= $(or $(call pkg,--libs openblas),-lopenblas)
HWY_CFLAGS       ?= $(call pkg,--cflags libhwy)
HWY_LIBS         ?= $(or $(call pkg,--libs libhwy),-lhwy)
YAML_CFLAGS      ?= $(call pkg,--cflags yaml-cpp)
YAML_LIBS        ?= $(or $(call pkg,--libs yaml-cpp),-lyaml-cpp)
XXHASH_CFLAGS    ?= $(call pkg,--cflags libxxhash)
XXHASH_LIBS      ?= $(or $(call pkg,--libs libxxhash),-lxxhash)
ZLIB_LIBS        ?= -lz
LZF_CFLAGS       ?= $(call pkg,--cflags liblzf)
LZF_LIBS         ?= $(or $(call pkg,--libs liblzf),-llzf)
EXTRA_CFLAGS     ?=
EXTRA_LIBS       ?=

PREFIX   ?= /usr/local
DESTDIR  ?=
# What is installed, and what starts it on one rank where it does not start by itself: make install RUN='srun -n 1'
PROGRAM  ?= pruntrain
RUN      ?=

SHARDS   ?= 2
SECONDS  ?= 60
# Open MPI's name for the compiler behind mpicxx; elsewhere set FUZZCXX.
FUZZCXX  ?= OMPI_CXX=clang++ $(MPICXX)
VERSION  := 0.3.0
CXXFLAGS  = -std=c++20 $(OPTIMIZE) -g $(WARNINGS) -DOMPI_SKIP_MPICXX -DPRUNTRAIN_VERSION='"$(VERSION)"' -Iinclude -I. \
            $(HDF5_CFLAGS) $(BLAS_CFLAGS) $(HWY_CFLAGS) $(YAML_CFLAGS) $(XXHASH_CFLAGS) $(EXTRA_CFLAGS)
LDLIBS    = $(HDF5_LIBS) $(BLAS_LIBS) $(HWY_LIBS) $(YAML_LIBS) $(XXHASH_LIBS) $(ZLIB_LIBS) $(LZF_LIBS) $(EXTRA_LIBS)

SOURCES  := $(filter-out src/app/main.cpp,$(wildcard src/*/*.cpp src/*/*/*.cpp))
suites   := unit mpi conformance
tests_of  = $(patsubst %.cpp,$(2)/%.o,$(wildcard tests/$(1)/*.cpp tests/support/*.cpp))

.PHONY: all demo test torture golden lint study bench bench-kernels bench-train bench-peers bench-ordered bench-checkpoints bench-shards setup-% programs clean
.PHONY: fuzz fuzz-programs test-programs test-sanitized tidy install uninstall
.DELETE_ON_ERROR:

all: pruntrain

pruntrain: $(BUILD)/pruntrain
	cp $< $@.new && mv $@.new $@

# The program is built from release/, its tests too; gradient checks from double/, where real is double.
define flavour
$(BUILD)/$(1)/%.o: %.cpp | $(BUILD)/pieces
	@mkdir -p $$(dir $$@)
	$$(MPICXX) $$(CXXFLAGS) $$(if $$(filter src/%,$$<),$$(STRICT)) $(2) -MMD -MP -c $$< -o $$@
$(BUILD)/$(1)/libpruntrain.a: $(SOURCES:%.cpp=$(BUILD)/$(1)/%.o)
	rm -f $$@ && ar rcs $$@ $$^
endef
$(eval $(call flavour,release,))
$(eval $(call flavour,double,-DPRUNTRAIN_DOUBLE))

$(BUILD)/pruntrain: $(BUILD)/release/src/app/main.o $(BUILD)/release/libpruntrain.a
	$(MPICXX) $(OPTIMIZE) $^ $(LDLIBS) -o $@
$(BUILD)/test_unit: $(call tests_of,unit,$(BUILD)/release) $(BUILD)/release/libpruntrain.a
	$(MPICXX) $(OPTIMIZE) $^ $(LDLIBS) -o $@
$(BUILD)/test_mpi: $(call tests_of,mpi,$(BUILD)/release) $(BUILD)/release/libpruntrain.a
	$(MPICXX) $(OPTIMIZE) $^ $(LDLIBS) -o $@
$(BUILD)/bench_%: $(BUILD)/release/tests/bench/bench_%.o $(BUILD)/release/libpruntrain.a
	$(MPICXX) $(OPTIMIZE) $^ $(LDLIBS) -o $@
$(BUILD)/many_runs: $(BUILD)/release/tests/regression/many_runs.o $(BUILD)/release/libpruntrain.a
	$(MPICXX) $(OPTIMIZE) $^ $(LDLIBS) -o $@
$(BUILD)/test_conformance: $(call tests_of,conformance,$(BUILD)/double) $(BUILD)/double/libpruntrain.a
	$(MPICXX) $(OPTIMIZE) $^ $(LDLIBS) -o $@

# The only user of LibLZF.
%/src/io/h5_prepare.o %/src/io/h5_prepare.ok: CXXFLAGS += $(LZF_CFLAGS)
# These know the version, which is set above.
$(BUILD)/release/src/app/cli.o $(BUILD)/release/src/run/checkpoint_write.o $(BUILD)/release/tests/unit/test_checkpoint.o: Makefile

# Fuzz targets: instrumented are the floors that read files, the readers of checkpoints and what they stand on; the rest
# is the program's own library.
fuzzed     := $(wildcard src/base/*.cpp src/config/*.cpp src/io/*.cpp src/data/*.cpp src/data/*/*.cpp) src/math/pattern.cpp \
              src/model/network.cpp src/run/checkpoint.cpp src/run/checkpoint_graph.cpp
fuzz_flags := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
fuzzers    := $(patsubst tests/fuzz/%.cpp,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.cpp))
$(BUILD)/fuzz/%.o: private OPTIMIZE = $(fuzz_flags) -fsanitize=fuzzer-no-link
$(BUILD)/fuzz/%.o: private WARNINGS = -Wall -Wextra
$(BUILD)/fuzz/%.o: %.cpp | $(BUILD)/pieces
	@mkdir -p $(dir $@)
	$(FUZZCXX) $(CXXFLAGS) -MMD -MP -c $< -o $@
$(fuzzers): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.o $(fuzzed:%.cpp=$(BUILD)/fuzz/%.o) $(BUILD)/release/libpruntrain.a
	$(FUZZCXX) $(fuzz_flags) -fsanitize=fuzzer $^ $(LDLIBS) -o $@

# Says which pieces are missing before the compiler does, once.
$(BUILD)/pieces: scripts/check_pieces.sh
	@mkdir -p $(BUILD)
	@MPICXX='$(MPICXX)' CXXFLAGS='$(CXXFLAGS)' HDF5_LIBS='$(HDF5_LIBS)' BLAS_LIBS='$(BLAS_LIBS)' HWY_LIBS='$(HWY_LIBS)' YAML_LIBS='$(YAML_LIBS)' \
	 XXHASH_LIBS='$(XXHASH_LIBS)' ZLIB_LIBS='$(ZLIB_LIBS)' LZF_CFLAGS='$(LZF_CFLAGS)' LZF_LIBS='$(LZF_LIBS)' sh scripts/check_pieces.sh
	@touch $@

programs: pruntrain test-programs
test-programs: $(suites:%=$(BUILD)/test_%) $(BUILD)/many_runs

# Set-up runs first, then a second make, so that pkg-config is asked after it.
setup-%:
	@scripts/setup.sh $*

demo: setup-demo
	@$(MAKE) --no-print-directory -s -j2 pruntrain
	MPIRUN='$(MPIRUN)' sh scripts/demo.sh

test: setup-test
	@$(MAKE) --no-print-directory -s -j2 programs
	$(PYTHON) tests/run.py --build $(BUILD) --mpirun '$(MPIRUN)' $(TESTS)

# Faults at random, by a seed: docs/reliability.md
torture: setup-test
	@$(MAKE) --no-print-directory -s -j2 pruntrain
	MPIRUN='$(MPIRUN) --oversubscribe' OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 $(PYTHON) tests/torture/campaign.py $(TORTURE)

# Results that are recorded, or those of another program: docs/reliability.md
golden: setup-test
	@$(MAKE) --no-print-directory -s -j2 pruntrain
	MPIRUN='$(MPIRUN) --oversubscribe' $(PYTHON) tests/golden/golden.py $(GOLDEN)

fuzz: setup-fuzz
	@$(MAKE) --no-print-directory -s -j2 fuzz-programs
	$(PYTHON) tests/fuzz/run.py --seconds $(SECONDS) $(BUILD)/fuzz $(TESTS)

fuzz-programs: $(fuzzers)

# Only the tests of conformance need everything once more in double precision.
sanitized := unit mpi $(if $(TESTS),$(findstring conformance,$(TESTS)),conformance)
# Leaks are left to the fuzz targets, which do without MPI: Open MPI unloads its plugins before it ends and leaves memory of
# theirs behind, which no suppression can name any more. The quarantine of 64 ranks must fit into memory.
test-sanitized: setup-test
	@$(MAKE) --no-print-directory -s -j2 $(sanitized:%=build-sanitized/test_%) \
	 build-sanitized/many_runs build-sanitized/pruntrain BUILD=build-sanitized \
	 OPTIMIZE='-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer'
	ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=32 UBSAN_OPTIONS=print_stacktrace=1 $(PYTHON) tests/run.py --build build-sanitized \
	 --program build-sanitized/pruntrain --mpirun '$(MPIRUN)' --patience 20 $(TESTS)

# The manual page and the completion are made of what the program says of itself.
install: $(PROGRAM)
	@mkdir -p $(BUILD)
	$(PYTHON) scripts/make_man.py --man $(BUILD)/pruntrain.1 --completion $(BUILD)/pruntrain.bash --prefix '$(PREFIX)' \
	 $(RUN) $(abspath $(PROGRAM))
	scripts/install.sh install '$(DESTDIR)$(PREFIX)' $(PROGRAM) $(BUILD)/pruntrain.1 $(BUILD)/pruntrain.bash

uninstall:
	scripts/install.sh uninstall '$(DESTDIR)$(PREFIX)'

lint: setup-lint
	$(PYTHON) scripts/lint.py
	@$(MAKE) --no-print-directory -s -j2 tidy

# clang-tidy and cppcheck, of what has changed since they last had nothing to say. Flags of Open MPI's wrapper.
tidied   := $(patsubst %.cpp,$(BUILD)/tidy/%.ok,src/app/main.cpp $(SOURCES))
tidy: $(tidied) $(BUILD)/tidy/cppcheck.ok
$(BUILD)/tidy/%.ok: %.cpp .clang-tidy
	@mkdir -p $(dir $@)
	@$(MPICXX) $(CXXFLAGS) -MM -MP -MT $@ -MF $(@:.ok=.d) $<
	clang-tidy --quiet $< -- $(CXXFLAGS) $(shell $(MPICXX) --showme:compile) 2>$(@:.ok=.log) || { cat $(@:.ok=.log) >&2; exit 1; }
	@touch $@
$(BUILD)/tidy/cppcheck.ok: src/app/main.cpp $(SOURCES) $(wildcard include/pruntrain/*/*.hpp)
	@mkdir -p $(dir $@)cppcheck
	cppcheck -q -j2 --cppcheck-build-dir=$(dir $@)cppcheck --enable=warning,performance,portability --error-exitcode=1 \
	 --suppress=passedByValue --suppress=internalAstError:src/math/sparse_kernels.cpp \
	 --suppress=invalidFunctionArg:src/model/losses/cross_entropy.cpp \
	 --std=c++20 --language=c++ -Iinclude -I. -DPRUNTRAIN_VERSION='""' src
	@touch $@

# Goes on with what is there: STUDY="--help" shows the options.
study: setup-bench
	@$(MAKE) --no-print-directory -s -j2 pruntrain
	MPIRUN='$(MPIRUN)' $(PYTHON) scripts/study.py $(STUDY)

# CSV on standard output: BENCH="--help" shows the options of each.
bench-kernels: setup-bench
	@$(MAKE) --no-print-directory -s -j2 $(BUILD)/bench_kernels
	@OPENBLAS_NUM_THREADS=1 $(BUILD)/bench_kernels $(BENCH)

bench-shards: setup-bench
	@$(MAKE) --no-print-directory -s -j2 $(BUILD)/bench_shards
	@OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 $(MPIRUN) -n $(SHARDS) $(BUILD)/bench_shards $(BENCH)

bench-train bench-peers bench-ordered bench-checkpoints: bench-%: setup-bench
	@$(MAKE) --no-print-directory -s -j2 pruntrain
	@MPIRUN='$(MPIRUN)' $(PYTHON) scripts/bench/$*.py $(BENCH)

bench:
	@$(MAKE) --no-print-directory bench-kernels BENCH='--density 0.1 0.02'
	@$(MAKE) --no-print-directory bench-train BENCH='--ranks 2 --densities 1 0.1 0.02 --rounds 1'
	@$(MAKE) --no-print-directory bench-peers BENCH='--rounds 1'
	@$(MAKE) --no-print-directory bench-ordered BENCH='--ranks 2 --rounds 1'
	@$(MAKE) --no-print-directory bench-checkpoints BENCH='--networks mlp2048 --rounds 1'
	@$(MAKE) --no-print-directory bench-shards BENCH='--density 0.1'

clean:
	rm -rf $(BUILD) build-sanitized pruntrain

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
