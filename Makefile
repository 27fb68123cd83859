# The two commands are `make run` and `make test`; the rest are their parts.
# Needed beforehand: Python 3.11 or newer, a C compiler, make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TESTS ?=
JOBS ?= 2
BENCHMARKS ?= lookup scalar build scaling mrt reset_query formats_out update_stall audits delta_fanout many_routers idle_sessions http_api

# make run: VRPS is a path or a URL; LISTEN one or more ADDR:PORT; ARGS further options of `serve`
VRPS ?=
LISTEN ?=
ARGS ?=

, := ,
EXTENSIONS := $(wildcard rov/*.pyx)
MODULES := $(patsubst rov/%.pyx,rov.%,$(EXTENSIONS))
BUILD_INPUT := $(EXTENSIONS) $(wildcard rov/*.pxd) setup.py pyproject.toml
PYTHON_SOURCES := $(wildcard rov rov_command.py rtr_server tests benchmarks setup.py)
COPIED := $(wildcard rov rov_command.py rtr_server tests benchmarks docs Makefile setup.py pyproject.toml README.md LICENSE)
# The daemon and what stands above the audits have no extension module of their own: under checks their tests
# would be slow, and tell nothing.
UNCHECKED = rtr_server|\bcli\b|rov_command|rov\.(report|routers|engines|live)
LIBRARY_TESTS = $(shell grep -LE '$(UNCHECKED)' tests/unit/test_*.py; grep -L rtr_server tests/property/test_*.py) rov
CHECKED_TESTS = $(LIBRARY_TESTS) -m "not realdata and not interop and not exhaustive and not memory"

# What the checked builds read: the copies lie elsewhere, so the way to the real data must not be relative.
export ROVKIT_DATA ?= $(abspath ../shared/data)

.PHONY: help build run test lint lint-style lint-types lint-stubs debug-test sanitize-test bench clean
.DEFAULT_GOAL := help

help:
	@echo 'make run [VRPS=path-or-URL] [LISTEN=addr:port]   serve VRPs to routers (without VRPS: a synthetic set)'
	@echo 'make test [TESTS=path]                           all tests'
	@echo 'make build | lint | debug-test | sanitize-test | bench | clean'

build: $(VENV)/.built

# A change of the compiler settings in setup.py must reach C files that Cython takes for fresh.
define install
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(filter setup.py,$?),rm -f rov/*.c)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(1)'
	touch $(VENV)/.built
endef

$(VENV)/.built: $(BUILD_INPUT)
	$(call install,.[all])

# With the tools in one installation, as each one compiles the extensions.
$(VENV)/.tools: $(BUILD_INPUT)
	$(call install,.[test$(,)lint])
	touch $@

run: build
	$(BIN)/rtr-server serve $(if $(VRPS),--vrps '$(VRPS)',--synthetic) $(foreach at,$(LISTEN),--listen '$(at)') $(ARGS)

# One file stays on one worker, so that each real data set is read once. In the order of their names: files of
# many tests first, as is usual, would leave those that wait for routers to the end, where nothing else is done.
test: $(VENV)/.tools
	$(BIN)/python -m pytest -rsfE -n $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

# Each check of types takes one processor for long, most of it to read what is used: so both at a time.
lint: $(VENV)/.tools
	$(MAKE) --no-print-directory --jobs $(JOBS) --output-sync=target lint-types lint-stubs lint-style

lint-style: $(VENV)/.tools
	$(BIN)/ruff check $(PYTHON_SOURCES)
	$(BIN)/ruff format --check $(PYTHON_SOURCES)
	PATH="$(abspath $(BIN)):$$PATH" cython-lint $(EXTENSIONS) $(wildcard rov/*.pxd)
	$(BIN)/lint-imports

lint-types: $(VENV)/.tools
	$(BIN)/mypy

lint-stubs: $(VENV)/.tools
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml --allowlist tests/typing/stubtest-allowlist.txt --ignore-unused-allowlist $(MODULES)

# A build with checks is made in a copy of the tree, which goes before the installed one: that stays as it is.
define checked_build
	mkdir -p $(1)
	rm -rf $(addprefix $(1)/,$(COPIED))
	cp -Rp $(COPIED) $(1)
	rm -f $(1)/rov/*.so $(1)/rov/*.c
	cd $(1) && $(2) $(abspath $(BIN))/python setup.py -q build_ext --inplace
	cd $(1) && PYTHONPATH="$$PWD" $(abspath $(BIN))/python -c \
	'import importlib.util as i, os; at = i.find_spec("rov").origin; assert at.startswith(os.getcwd()), at'
endef

checked_pytest = PYTHONPATH="$$PWD" $(abspath $(BIN))/python -m pytest -rsfE -n $(JOBS) --dist loadfile

debug-test: $(VENV)/.tools
	$(call checked_build,build/debug,ROV_DEBUG=1)
	cd build/debug && $(checked_pytest) $(CHECKED_TESTS)

# The sanitizers' runtimes must be loaded before Python, which is built without them. Python keeps its own
# memory to the end, so leaks are not reported. What was freed is kept in small measure: the fuzzer of the MRT
# parser, which runs here as well, bounds the memory of the process.
sanitize-test: $(VENV)/.tools
	$(call checked_build,build/sanitize,ROV_SANITIZE=1)
	cd build/sanitize && \
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1 \
	$(checked_pytest) tests/fuzz/test_fuzz_mrt.py $(CHECKED_TESTS)

$(VENV)/.bench: $(BUILD_INPUT)
	$(call install,.[test$(,)lint$(,)bench])
	touch $(VENV)/.tools $@

# Remakes the charts in docs/, too.
bench: $(VENV)/.bench
	for question in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$question || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info rov/*.so rov/*.c .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find rov rtr_server tests -name __pycache__ -prune -exec rm -rf {} +
