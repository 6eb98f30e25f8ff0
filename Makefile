# The few commands that people and CI share. `make` alone lists them.
# Anything with a .venv prerequisite makes the virtual environment by itself; a second run finds the stamp and is quick.

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
KILLS  ?= 100
ENGINE ?= kafka
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# Where no servers are named, start our own; stop them again unless they were running already.
SERVICES := $(BIN)/python deploy/local/services.py
WITH_SERVICES = if [ -z "$$POVOD_TEST_KAFKA" ] || [ -z "$$POVOD_TEST_DATABASE_URL" ]; then \
	$(SERVICES) status >/dev/null 2>&1 || trap '$(SERVICES) stop' EXIT; eval "$$($(SERVICES) start)"; fi;

# The tests go without Kafka where neither an address nor Java and Maven are there; they say then what they skip.
WITH_KAFKA = if [ -z "$$POVOD_TEST_KAFKA" ] && command -v java >/dev/null && command -v mvn >/dev/null; then $(WITH_SERVICES) fi;

.DEFAULT_GOAL := help
.PHONY: help setup demo check test bench kill-test services \
	check-lint check-format check-types check-imports check-dead-code check-architecture

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: $(STAMP) ## Make .venv with everything pinned (the other targets call this themselves)

demo: $(STAMP) ## Replay two weeks of a shop's events through all three services into a local inbox
	@$(BIN)/povod demo

# Independent steps run side by side; -k: one failing step does not hide the others.
check: $(STAMP) ## Lint, format, types, import direction, dead code, sizes and bans; under a minute
	@$(MAKE) --no-print-directory -k -j2 $(if $(filter output-sync,$(.FEATURES)),-Otarget) \
		check-types check-architecture check-imports check-lint check-format check-dead-code
	@echo "make check: clean"

test: $(STAMP) ## Run all tests (Kafka's need Java and Maven or POVOD_TEST_KAFKA, and are skipped visibly without; with it, other people's clients too)
	@$(WITH_KAFKA) $(BIN)/python -m pytest

bench: $(STAMP) ## Measure against the baselines in bench/; prints one line a figure, exits 1 when one could not be taken
	@$(WITH_SERVICES) $(BIN)/python -m bench

kill-test: $(STAMP) ## Kill processes at random under load and compare every decision (KILLS=100 ENGINE=kafka)
	@$(WITH_SERVICES) $(BIN)/python -m tests.kill --kills $(KILLS) --engine $(ENGINE)

services: $(STAMP) ## Start a real Kafka and PostgreSQL for development and print their addresses
	@$(SERVICES) start

check-lint:
	@echo "ruff check" && $(BIN)/ruff check --quiet --output-format concise .

check-format:
	@echo "ruff format" && $(BIN)/ruff format --check --quiet .

check-types:
	@echo "mypy" && $(BIN)/mypy && $(BIN)/mypy --config-file= --strict --cache-dir .mypy_cache/local deploy/local/*.py

check-imports:
	@echo "import-linter" && $(BIN)/lint-imports

check-dead-code:
	@echo "vulture" && $(BIN)/vulture

check-architecture:
	@echo "sizes, bans, ownership" && $(BIN)/python -m pytest -q -p no:cacheprovider \
		tests/architecture/test_purity.py tests/architecture/test_sizes.py tests/architecture/test_habits.py

# pip is told exact versions for the build backend too, so it needs no isolated (and unpinned) build environment.
$(STAMP): pyproject.toml constraints-dev.txt
	@"$(PYTHON)" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
		echo "Povod needs Python 3.11 or newer with its venv module: install it (Debian: apt-get install python3 python3-venv)" \
		"or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@echo "Installing into $(VENV) (once; a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt hatchling editables
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt --no-build-isolation -e '.[dev]'
	@touch $@
