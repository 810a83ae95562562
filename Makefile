# Two commands, each with its own set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo test check bench docs setup clean

demo: $(STAMP)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python examples/demo.py $(DEMO_ARGS)

test: $(STAMP)
	scripts/browser
	scripts/check

check: test

bench: $(STAMP)
	$(BIN)/python benchmarks/fill_rates.py

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "The site is in build/site: open build/site/index.html"

setup: $(STAMP)

# torch first: what comes after then finds it and does not fetch another build; uv is several times as fast for the rest
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wellbegun needs Python 3.11 or newer; this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt torch uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]' || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache demo-output build
	find . -name __pycache__ -prune -exec rm -rf {} +
