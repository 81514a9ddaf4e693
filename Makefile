# Every target installs what it needs. `make help` lists them.
# MAILLON_VENV=dir   another virtual environment than .venv
# ARGS="…"           more words for the command that a target runs

VENV := $(or $(MAILLON_VENV),.venv)
export MAILLON_VENV := $(VENV)
PY := $(VENV)/bin/python
NODE_MODULES := tests/interop/node_modules/.package-lock.json
WEB_MODULES := tests/web/node_modules/.package-lock.json
PEER_MODULES := benchmarks/peers/node_modules/.package-lock.json

SEEDS ?= 200
LEDGER_SEEDS ?= $(SEEDS)
LETTER_SEEDS ?= $(SEEDS)
EXCHANGE_SEEDS ?= $(SEEDS)
PERSONS_SEEDS ?= $(EXCHANGE_SEEDS)
FIRST ?= 0
TERMS ?= 3
CYCLES ?= 8
SECONDS ?= 10
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two installations into one environment at a time would break it.
.NOTPARALLEL:
.PHONY: help demo install dev test interop browser screens lint types check vectors vectors-check words simulate mutants explore kill-cycles fuzz api-check bench bench-peers lock dist base-check clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install ## Install everything and run a federation on this machine
	$(VENV)/bin/maillon demo $(ARGS)

install: ## Install the node and what it needs into .venv
	@tools/bootstrap node

dev: ## Install the development tools as well
	@tools/bootstrap dev

test: dev ## Run the tests, a file at a time on every core (ARGS="-k name" chooses some)
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

interop: dev $(NODE_MODULES) ## Run the tests against other implementations (fetches npm packages)
	$(PY) -m pytest -m interop tests/interop $(ARGS)

browser: dev $(WEB_MODULES) ## Run the tests of the pages in Chromium (needs the distribution's chromium)
	$(PY) -m pytest -m browser tests/web/browser $(ARGS)

screens: dev $(WEB_MODULES) ## Make the pictures of all pages anew (docs/screens/)
	PYTHONPATH=tests $(PY) -m support.screens $(ARGS)

lint: dev ## Check style and the order of imports
	$(PY) -m ruff check .
	$(VENV)/bin/lint-imports

types: dev $(NODE_MODULES) ## Check types with mypy and with pyright
	$(PY) -m mypy
	tools/pyright

check: lint types vectors-check test ## lint, types, vectors-check and test

vectors: dev ## Write the vectors of the specification anew from their seed
	$(PY) spec/vectors/generate.py

vectors-check: dev ## Compare the vectors of the specification with what the code makes
	$(PY) spec/vectors/generate.py --check

words: dev ## Bring the French words up to date with the code: ARGS="--fill mine.po" takes translations from a file
	PYTHONPATH=tests $(PY) -m support.catalogue $(ARGS)

simulate: dev ## Run simulated federations, ledgers, posts, exchanges and affairs of persons: SEEDS=200 of each, from FIRST=0, or SEED=7 alone
	PYTHONPATH=tests $(PY) -m simulation.run $(if $(SEED),--seed $(SEED) --seeds 1,--seed $(FIRST) --seeds $(SEEDS)) $(ARGS)
	PYTHONPATH=tests $(PY) -m simulation.ledger.run $(if $(SEED),--first-seed $(SEED) --seeds 1,--first-seed $(FIRST) --seeds $(LEDGER_SEEDS)) $(ARGS)
	PYTHONPATH=tests $(PY) -m simulation.letters.run $(if $(SEED),--first-seed $(SEED) --seeds 1,--first-seed $(FIRST) --seeds $(LETTER_SEEDS)) $(ARGS)
	PYTHONPATH=tests $(PY) -m simulation.exchange.run $(if $(SEED),--first-seed $(SEED) --seeds 1,--first-seed $(FIRST) --seeds $(EXCHANGE_SEEDS)) $(ARGS)
	PYTHONPATH=tests $(PY) -m simulation.persons.run $(if $(SEED),--first-seed $(SEED) --seeds 1,--first-seed $(FIRST) --seeds $(PERSONS_SEEDS)) $(ARGS)

mutants: dev ## Break the ledger's rules one by one: each has to be noticed
	PYTHONPATH=tests $(PY) -m simulation.ledger.mutants $(ARGS)

explore: dev ## Explore every schedule of one height of a chain, with liars, in TERMS=3 terms
	PYTHONPATH=tests $(PY) -m simulation.ledger.explorer --terms $(TERMS) $(ARGS)

kill-cycles: dev ## Kill the nodes of a real federation under load: CYCLES=8 times, SEED=7
	PYTHONPATH=tests $(PY) tests/node/ledger/kill_cycles.py --cycles $(CYCLES) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: dev ## Feed every decoder hostile bytes: SECONDS=10 for each
	PYTHONPATH=tests $(PY) tests/fuzz/run.py --seconds $(SECONDS) $(ARGS)

api-check: dev ## Question a running node's interface by its own description: SEED=7 (0 draws one), EXAMPLES=6
	PYTHONPATH=tests $(PY) tests/node/api/check_api.py --seed $(or $(SEED),7) --examples $(or $(EXAMPLES),6) $(ARGS)

bench: dev ## Measure: all jobs, or JOBS=a,b
	$(PY) benchmarks/run.py $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

bench-peers: dev $(PEER_MODULES) ## Fetch the npm packages that the benchmarks compare with

lock: dev ## Choose the versions anew (UPGRADE=--upgrade for newer ones)
	UPGRADE="$(UPGRADE)" tools/lock

dist: dev ## Build the wheel and the source archive into dist/
	rm -rf dist
	$(PY) -m hatchling build

base-check: dist ## Prove that the wheel works with its base dependencies alone
	$(PY) tools/check_base_install.py dist/*.whl

clean: ## Remove everything that can be made again, environments included
	rm -rf $(VENV) .ci-venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis .import_linter_cache tests/interop/node_modules tests/web/node_modules benchmarks/peers/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# npm writes this file last, which makes it a stamp.
$(NODE_MODULES): tests/interop/package-lock.json tests/interop/package.json | dev
	cd tests/interop && ../../tools/npm ci --no-progress
	@touch $@

$(WEB_MODULES): tests/web/package-lock.json tests/web/package.json | dev
	cd tests/web && ../../tools/npm ci --no-progress
	@touch $@

$(PEER_MODULES): benchmarks/peers/package-lock.json benchmarks/peers/package.json | dev
	cd benchmarks/peers && ../../tools/npm ci --no-progress
	@touch $@
