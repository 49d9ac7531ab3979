# make book | test | lab | serve | bench | format | clean
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export OMP_NUM_THREADS = 1
export PYTHONDONTWRITEBYTECODE = 1
KEYS = $(shell $(BIN)/python -c "from memnb.book.check import STRIP_KEYS; print(STRIP_KEYS)")

book: $(STAMP)
	@$(BIN)/python -m memnb build

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m memnb build
	$(BIN)/python -m memnb check
	$(BIN)/python -m pytest -q -n 2 --dist worksteal memnb tests --ignore=tests/browser
	$(BIN)/python -m pytest -q -n 2 --dist loadscope --nbval-lax --nbval-current-env notebooks
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -rs tests/browser

lab: $(STAMP)
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks

serve: $(STAMP)
	@$(BIN)/python -m memnb serve

bench: $(STAMP)
	$(BIN)/python -m memnb build
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.audit_memory

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-count --keep-id --extra-keys "$(KEYS)" notebooks/*.ipynb

clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis

# Installed anew whenever the pins change, by the files with which Binder installs.
$(STAMP): .binder/requirements.txt .binder/postBuild .lab/overrides.json requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r .binder/requirements.txt
	PATH="$(CURDIR)/$(BIN):$$PATH" bash .binder/postBuild
	@touch $@

.PHONY: book test lab serve bench format clean
