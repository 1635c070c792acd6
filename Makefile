# make lab    set everything up and open JupyterLab on the first tutorial
# make test   set everything up and run every check and test that needs no GPU
# make help   the rest

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# The solvers to compare with have an environment of their own.
BENCH  := .venv-bench
# Where a GPU machine brings its own torch, the tests run with its Python and this path.
SOURCE := $(CURDIR)/solver:$(CURDIR)/kernels:$(CURDIR)/workbench

# Two workers halve the time; what measures time then runs with nothing beside it.
TESTS := $(BIN)/pytest -q -n 2 --dist loadgroup -m "not gpu and not timing" \
	&& $(BIN)/pytest -q -m "timing and not gpu"

.DEFAULT_GOAL := help
.PHONY: help lab test lint types test-gpu bench-solver bench-rnn tune-rnn screenshot fmt chromium clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: $(READY)  ## open JupyterLab on the first tutorial (ARGS="--no-browser --port 8888")
	@$(BIN)/workbench lab $(ARGS)

test: $(READY) lint types chromium  ## every check and test that needs no GPU (ARGS="tests/x.py -k name")
	@$(if $(ARGS),$(BIN)/pytest $(ARGS),$(TESTS))

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

test-gpu:  ## the tests that need a CUDA device
	@if [ -x $(BIN)/pytest ]; then $(BIN)/pytest -m gpu $(ARGS); \
	else PYTHONPATH=$(SOURCE) $(PYTHON) -m pytest -m gpu $(ARGS) tests/rnnkernels \
		tests/notebooks/test_notebooks_on_a_gpu.py; fi

bench-solver: $(BENCH)/.ready  ## the solver against four others (ARGS="--quick --only hotspot")
	@PYTHONPATH=solver $(BENCH)/bin/python solver/benchmarks/bench_solver.py $(ARGS)

bench-rnn:  ## the RNN kernels against cuDNN and PyTorch, on a CUDA device
	@if [ -x $(BIN)/python ]; then $(BIN)/python kernels/benchmarks/bench_rnn.py $(ARGS); \
	else PYTHONPATH=$(SOURCE) $(PYTHON) kernels/benchmarks/bench_rnn.py $(ARGS); fi

tune-rnn:  ## the launch model against compiler, device and clock, on a CUDA device
	@if [ -x $(BIN)/workbench ]; then $(BIN)/workbench tune --standard $(ARGS); \
	else PYTHONPATH=$(SOURCE) $(PYTHON) -m workbench.cli tune --standard $(ARGS); fi

screenshot: $(READY) chromium  ## take the README's picture anew
	@SCREENSHOTS=docs/images $(BIN)/pytest -q tests/browser/test_explorer_journey.py -k "explorer and Light"

fmt: $(READY)  ## format and mend what can be mended by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/nbstripout notebooks/*.ipynb

# Reinstalled when what is to be installed changed; a second run takes no time.
$(READY): pyproject.toml constraints.txt
	@sh .ci/check-python "$(PYTHON)"
	@[ -x $(BIN)/python ] || { echo "creating $(VENV)"; "$(PYTHON)" -m venv $(VENV); }
	@echo "installing flashclump and what it needs: a few minutes the first time"
	@$(PIP) install -q -c constraints.txt -e ".[all]"
	@touch $@

$(BENCH)/.ready: solver/benchmarks/requirements.txt
	@sh .ci/check-python "$(PYTHON)"
	@[ -x $(BENCH)/bin/python ] || "$(PYTHON)" -m venv $(BENCH)
	@echo "installing the solvers to compare with: a minute the first time"
	@$(BENCH)/bin/python -m pip --disable-pip-version-check install -q -r $<
	@touch $@

# A browser for the tests: one that is here, else the distribution's, else Playwright's own.
chromium: $(READY)
	@sh .ci/find-chromium "$(BIN)"

clean:  ## remove the environment and every cache
	rm -rf $(VENV) $(BENCH) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
