# Every target does its own set-up; python3 (3.11 to 3.13), pip and make are enough.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo day test lint types laws decisions crash live bench bench-plan clean setup
setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing locked dependencies into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@$(BIN)/ordersync demo

day: setup
	@$(BIN)/ordersync demo --sales 300

test: setup
	@$(BIN)/python -m pytest -n auto --dist loadfile

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy
	@MYPYPATH=src:tools/typing:. $(BIN)/mypy tests bench tools/*.py

crash: setup
	@PYTHONPATH=. $(BIN)/python -m tools.crash

laws: setup
	@PYTHONPATH=. $(BIN)/python -m tools.laws

decisions: setup
	@PYTHONPATH=. $(BIN)/python -m tools.decisions

live: setup
	@PYTHONPATH=. $(BIN)/python -m tests.live.run $(LIVE)

bench: setup
	@$(BIN)/python -m bench.ingest

# A quarter of an hour and 7 GB for a million orders; ORDERS=100000 is a minute. KEEP=folder builds once.
ORDERS ?= 1000000
bench-plan: setup
	@$(BIN)/python -m bench.plan --orders $(ORDERS) $(if $(KEEP),--keep $(KEEP))

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info src/*.egg-info
