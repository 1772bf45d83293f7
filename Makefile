# `make demo`, `make test` and `make check` need Python, pip and make; each sets up .venv first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PYTEST := $(BIN)/python -m pytest
# options of the demo, such as DEMO=--quick
DEMO ?=

.PHONY: demo test test-slow test-browser test-dist check docs site notebooks format clean

demo: $(STAMP)
	$(BIN)/radloop demo -o demo $(DEMO)

test: $(STAMP)
	$(PYTEST) -n 2

# those outside SIDE not in parallel: some of them measure time
SIDE := tests/docs tests/demo tests/corpora/reproduce tests/reportgen/drafting tests/vision tests/labeler/neural \
	tests/benchmarks/test_soak.py
test-slow: $(STAMP)
	$(PYTEST) -m slow -n 2 --dist loadfile $(SIDE)
	$(PYTEST) -m slow $(SIDE:%=--ignore=%)

# needs chromium
test-browser: $(STAMP)
	$(PYTEST) -m "browser and not slow" -n 2

# the wheel in an environment of its own, under the tests of the sdist: 2 GB in build/dist
test-dist: $(STAMP)
	$(BIN)/python -m tests.benchmarks.dist -o build/dist -- -n 2 tests

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cog -I docs --check --diff --check-fail-msg "run make docs" docs/audit.md docs/cli.md docs/registry.md
	$(PYTEST) -q tests/test_docs.py -k changelog
	$(MAKE) site

docs: $(STAMP)
	$(BIN)/cog -I docs -r docs/audit.md docs/cli.md docs/registry.md

# the documentation as a site, in build/site; without a network, and a broken link is an error
site: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# runs the notebooks of docs/notebooks, and stores what they show: minutes
notebooks: $(STAMP)
	$(BIN)/python docs/notebooks/make.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo build dist

# Debian's python3 comes without ensurepip: then pip is put in from outside
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "radloop needs Python 3.11 or newer; make PYTHON=...")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { $(PYTHON) -m venv --clear --without-pip .venv \
		&& $(PYTHON) -m pip --python $(BIN)/python install pip; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
