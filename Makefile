# The only tools needed are Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export YARDGATE_DATA ?= $(CURDIR)/var

.PHONY: help demo up test check faults test-interop fuzz soak bench format lock clean

help:            ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*##/ —/'

$(VENV)/installed: requirements/dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

demo: $(VENV)/installed    ## the whole story on this machine; leaves it running until Ctrl-C
	$(BIN)/python manage.py demo

up: $(VENV)/installed      ## the stack without the story
	$(BIN)/python manage.py up

test: $(VENV)/installed    ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not faults and not journey and not interop"
	$(BIN)/python -m pytest -m "faults or journey"

check: $(VENV)/installed   ## format, lint, types, migrations, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not faults and not journey and not interop"

faults: $(VENV)/installed  ## only the tests that start whole stacks and kill their processes (about ten minutes)
	$(BIN)/python -m pytest -m "faults or journey"

INTEROP := var/interop-venv

$(INTEROP)/installed: tests/interop/requirements.txt
	test -x $(INTEROP)/bin/python || $(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/interop/requirements.txt
	touch $@

test-interop: $(VENV)/installed $(INTEROP)/installed  ## whole flows with an eMSP that this project did not write
	$(BIN)/python -m pytest -m interop tests/interop

fuzz: $(VENV)/installed    ## the OCPI face asked by schemathesis, something else each time (EXAMPLES=200)
	YARDGATE_FUZZ_EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/python -m pytest tests/proof

soak: $(VENV)/installed    ## one partner and one station charge for MINUTES=10; memory, leases, books
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10)

bench: $(VENV)/installed   ## ratios, measured side by side in one run
	$(BIN)/python -m bench

format: $(VENV)/installed  ## rewrite the code in the one style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/installed    ## pin the requirements again, with hashes
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-header --no-emit-index-url requirements/base.in -o requirements/base.txt
	$(BIN)/uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-header --no-emit-index-url requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-header --no-emit-index-url tests/interop/requirements.in -o tests/interop/requirements.txt

clean:           ## remove the virtual environment and all local data
	rm -rf $(VENV) var
