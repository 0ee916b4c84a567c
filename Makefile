# Every target sets itself up. A machine needs git, make and Python 3.11 or newer.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BASE_STAMP := $(VENV)/.installed-base
STAMP  := $(VENV)/.installed
DOCS   := .venv-docs

.PHONY: setup base demo test compiled lint types unit core rest search check docs browser bench feed strategies simulate machine mutants nth crash store replay start-up reference structure kill lock clean

setup: $(STAMP)  ## the virtual environment, with everything for tests, from the lock files

base: $(BASE_STAMP)  ## the virtual environment, with what the program needs

$(BASE_STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kalshi needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV), once: less than a minute"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP): requirements-dev.lock $(BASE_STAMP)
	@echo "adding what the tests need, once: about a minute and 1 GB"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: base  ## a session on the simulated exchange: markets, an order book, a minute of trading, positions and P&L
	@$(BIN)/python -m kalshi_cli --version >/dev/null
	@sh scripts/demo.sh $(BIN)/kalshi

check: setup lint types  ## before a commit: lint, types, and the tests of what changed since the main branch
	$(BIN)/python -m pytest -n 2 --dist worksteal $$($(BIN)/python scripts/changed_tests.py $(BASE))

test: setup  ## everything that CI runs
	@$(MAKE) --no-print-directory -j3 core rest types lint

unit: core rest  ## the tests alone

# If the environment forbids bytecode, each process of the tests, and each start of the program in one, would compile
# everything again. These targets write it all the same.
compiled core rest: export PYTHONDONTWRITEBYTECODE :=

compiled: $(VENV)/.compiled  ## compile the tests once after a change, instead of in each process of `rest` (20 seconds each)

$(VENV)/.compiled: $(STAMP) $(shell find tests -name '*.py')
	@$(BIN)/python -m pytest --ignore=tests/core --collect-only -qq >/dev/null || true # `rest` reports the errors
	@touch $@

core: setup  ## the core with coverage of every branch, in one process: in several, the marker no_cover has no effect (`nice`: it fills the pauses of `rest`)
	nice -n 19 $(BIN)/python -m pytest tests/core --cov=kalshi_cli/core --cov-report=
	$(BIN)/coverage report --include='kalshi_cli/core/*' --skip-covered --fail-under=100

rest: setup compiled  ## all other tests; more processes than cores, because many tests wait
	$(BIN)/python -m pytest --ignore=tests/core -n 5 --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	nice -n 19 $(BIN)/mypy

search: setup  ## the tests with new random examples; a finding needs its own test
	KALSHI_SEARCH=1 $(BIN)/python -m pytest -n 3 --dist worksteal

browser: setup  ## the page of `kalshi serve` in a real browser
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { echo "install a browser first: apt-get install chromium"; exit 1; }
	$(BIN)/python -m pytest tests/web/test_page.py

bench: setup  ## ratios against other libraries, measured in one run
	$(BIN)/python -m bench

simulate: setup  ## sessions with many faults in virtual time, every invariant after every step: SEEDS=10000 JOBS=2
	@$(BIN)/python -m verification.simulate --seeds $(or $(SEEDS),500) --jobs $(or $(JOBS),2)

strategies: setup  ## P&L of each built-in strategy on the seeded world, in virtual time: SEEDS=30 JOBS=2
	@$(BIN)/python -m verification.strategies --seeds $(or $(SEEDS),30) --jobs $(or $(JOBS),2)

machine: setup  ## a state machine of program, exchange and network, by hypothesis: EXAMPLES=200 STEPS=50 JOBS=2
	@$(BIN)/python -m verification.machine --examples $(or $(EXAMPLES),200) --steps $(or $(STEPS),50) --jobs $(or $(JOBS),2)

mutants: setup  ## break each safety line once, in a copy; its tests must fail
	@$(BIN)/python -m verification.mutants

nth: setup  ## each fault on the 1st, 2nd, 3rd ... request of every session
	@$(BIN)/python -m verification.nth

crash: setup  ## kill -9 of the real program at named and random points, restart, compare: RUNS=1000 ARGS=--faults
	@$(BIN)/python -m verification.crash --runs $(or $(RUNS),50) $(ARGS)

store: setup  ## the state file under load: speed of a commit, three programs at once, a hundred starts at once
	@$(BIN)/python -m verification.store

feed: setup  ## gaps, dead streams, a million changes, a soak: no order from a wrong order book (ARGS=--full)
	@$(BIN)/python -m verification.feed $(ARGS)

replay: setup  ## each tape with every strategy twice, reference engine and compiled loop: the same trades: JOBS=2
	@$(BIN)/python -m verification.replay --jobs $(or $(JOBS),2) $(ARGS)

start-up: setup  ## how soon an unconfirmed order is resolved (T7); how long a start on a large account takes (T10)
	@$(BIN)/python -m verification.start --times $(or $(TIMES),50)

kill: setup  ## the kill switch against a thousand resting orders, at each tier's rate limit, in virtual time and over sockets
	@$(BIN)/python -m verification.kill --repeats $(or $(REPEATS),20)

structure: setup  ## files per folder, longest file and function, import circles; draws the picture of docs/architecture.md
	@$(BIN)/python scripts/structure.py --picture

reference: setup  ## write docs/cli.md, docs/views.md and the template in docs/strategies.md from the program
	$(BIN)/python scripts/reference.py
	PYTHONPATH=. $(BIN)/python scripts/pages.py

docs: setup $(DOCS)/.installed  ## the documentation as a web site with offline search: build/site/index.html
	$(BIN)/python scripts/site.py build/pages
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs --quiet build --strict
	@echo "open build/site/index.html"

$(DOCS)/.installed: requirements-docs.lock
	@test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	@touch $@

# Extras stay in the lock (--no-strip-extras): pip refuses `coverage[toml]` against a pin of `coverage` alone as soon as a
# newer coverage is published (seen 2026-11-24).
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-strip-extras --no-header --no-annotate

lock:  ## refresh the lock files: versions and hashes, no addresses (needs uv)
	$(LOCK) --extra build --extra screens -o requirements.lock pyproject.toml
	$(LOCK) --extra build --extra dev --extra research --extra screens -c requirements.lock -o requirements-dev.lock pyproject.toml
	echo "mkdocs-material>=9.7" | $(LOCK) -o requirements-docs.lock -

clean:
	rm -rf $(VENV) $(DOCS) build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
