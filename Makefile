# `make help` says what there is. Everything runs in .venv/, which every target makes when needed.
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.lock
# The stamp is named by the lock's content: same lock, nothing to do, whatever the file's date.
STAMP := $(VENV)/.lock-$(firstword $(shell cksum $(LOCK)))
UV_COMPILE := $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --fork-strategy fewest --python-version 3.11 \
	--custom-compile-command "make lock"
PORT ?= 9092
DATA ?=
SCORE ?=

.DEFAULT_GOAL := help
.PHONY: help setup check format test test-long demo score bench bench-kernels bench-hot-path kafka image lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 12

setup: $(STAMP) ## make .venv/ from the hash-locked requirements (done already: nothing to do)

$(STAMP):
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer on PATH; install one (Debian: apt-get install python3 python3-venv) or say make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no venv; install it (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "setup: $$($(PYTHON) --version), $(LOCK)"
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@rm -f $(VENV)/.lock-*
	@touch $@

check: setup ## format, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup ## all tests but the long ones
	$(BIN)/python -m pytest -m "not long"

test-long: setup ## kill tests, floods
	$(BIN)/python -m pytest -m long

demo: setup ## the main job on the shipped trace: Kafka, a worker, events, a query; then replay
	@$(BIN)/python -m replay demo --live

score: setup ## the detectors against their bounds, each figure with its 95 % interval (up to an hour)
	$(BIN)/python -m replay score detectors $(SCORE)

bench: setup ## samples per second, in-process and through the broker
	$(BIN)/python -m tests.bench

bench-kernels: setup ## the hot path by size, beside a copy, the reference and plain NumPy
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.bench.kernels

bench-hot-path: setup ## file to archive, spectra beside SciPy's, and a fresh process to its first frame
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.bench.hot_path

kafka: setup ## a broker in the foreground (PORT=9092, DATA=folder to keep its data)
	@$(BIN)/python -m replay.broker --port $(PORT) $(if $(DATA),--data $(DATA))

image: ## build the container image and run its replay demo in it
	docker/image

lock: setup ## re-make requirements/*.lock from pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	$(UV_COMPILE) $(UPGRADE) pyproject.toml -o requirements/run.lock
	$(UV_COMPILE) $(UPGRADE) --extra gpu pyproject.toml -o requirements/gpu.lock
	$(UV_COMPILE) $(UPGRADE) --extra dev pyproject.toml -o requirements/dev.lock

clean: ## forget .venv/ and what tools left behind
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
