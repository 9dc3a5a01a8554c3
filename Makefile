# Everything that is done with a clone; `make help` lists it. Needs Python >= 3.11, make and sh.
#
#   PYTHON  the interpreter to use; else the first usable of those below
#   VENV    the virtual environment that is made and used
#   ARGS    further arguments for `make pytest`
#   JOBS    how many tests run at a time

VENV ?= .venv
PYTHON ?=
ARGS ?=
JOBS ?= $(shell echo $$((2 * $$(nproc))))
CANDIDATES = $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3)

# The locks are compiled by this one version of uv, in an environment of its own, for the oldest Python we support.
UV = uv==0.13.9
COMPILE = UV_PYTHON_DOWNLOADS=never .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' $(ARGS)

export PIP_DISABLE_PIP_VERSION_CHECK = 1
PIP = $(VENV)/bin/python -m pip install --quiet
RUN = $(VENV)/bin/python -m
# A test mostly waits for the processes it started, so there are more of them at a time than cores.
TESTS = pytest --numprocesses=$(JOBS) --dist=worksteal
# `orch` starts the worker with its own interpreter; nothing here depends on an activated environment.
ORCH = $(VENV)/bin/orch

.DELETE_ON_ERROR:
.PHONY: help demo test lint format coverage pytest docs lock setup clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target what; do \
		printf '%-16s %s\n' "$$target" "$$what"; done

demo: $(VENV)/.for-use ## set everything up and run the demo session
	$(ORCH) run configs/d28_orchestrator/demo_baseline.yaml --new

test: lint coverage ## all that CI asks: style, types, layers, and every test with coverage

lint: $(VENV)/.for-work ## check style, format, types and imports
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.for-work ## format, and mend what can be mended by itself
	$(RUN) ruff check --fix-only
	$(RUN) ruff format

coverage: $(VENV)/.for-work ## every test, with branch coverage
	$(RUN) coverage erase
	$(RUN) coverage run -m $(TESTS)
	$(RUN) coverage combine --quiet
	$(RUN) coverage report

pytest: $(VENV)/.for-work ## the tests alone: make pytest ARGS='-k store'
	$(RUN) $(TESTS) $(ARGS)

docs: $(VENV)/.for-work ## write the generated tables and captured output in README.md and docs/ again
	$(VENV)/bin/python scripts/reference.py
	$(VENV)/bin/python scripts/capture.py

lock: .venv-lock/bin/uv ## lock the dependencies again; ARGS=--upgrade takes the newest
	$(COMPILE) pyproject.toml --group dev --group build --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock
	$(COMPILE) --group build --constraint requirements-dev.lock --output-file requirements-build.lock
	$(COMPILE) --group benchmark --constraint requirements-dev.lock --output-file requirements-benchmark.lock

setup: $(VENV)/.for-work ## set up for work on orch, and do nothing else

clean: ## remove what the targets above made, but for the outputs
	rm -rf .venv .venv-* dist build htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find src tests scripts configs -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment ----------------------------------------------------------------------------------------

# An environment that is there and works is taken as it is.
$(VENV)/.made: scripts/find-python.sh
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || { \
		python=$$(scripts/find-python.sh $(CANDIDATES)) && \
		echo "making $(VENV) with $$python" && "$$python" -m venv $(VENV); }
	@touch $@

# Hashes and versions are pinned, the tool that builds the project among them, so two clones get the same bytes.
$(VENV)/.for-use: $(VENV)/.made requirements.lock requirements-build.lock pyproject.toml
	@echo "installing into $(VENV) (the first time takes a minute)"
	@$(PIP) --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.for-work: $(VENV)/.for-use requirements-dev.lock
	@echo "installing what the tests need"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

.venv-lock/bin/uv: Makefile
	python=$$(scripts/find-python.sh $(CANDIDATES)) && "$$python" -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet $(UV)
	@touch $@
