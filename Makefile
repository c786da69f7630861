# On a bare Debian 12 with Python 3.11 and make, each target does all that it needs:
#   make detect VIDEO=clip.mp4    judge a file (without VIDEO: an example that it draws)
#   make test                     run the tests
#   make docs                     run the notebook, build the documentation into site/
PYTHON ?= python3.11
VENV   ?= .venv
EXTRAS ?=
UV_VERSION := 0.13.9

BIN   := $(VENV)/bin
READY := $(VENV)/.ready-$(or $(EXTRAS),base)
PYTEST := $(BIN)/python -m pytest

.PHONY: install detect test test-extras test-wheel fuzz lint types docs benchmark model-card lock
.DELETE_ON_ERROR:

install: $(READY)

$(READY): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: apt-get install python3.11"; exit 1; }
	@$(PYTHON) -c "import ensurepip" 2>/dev/null || { \
	  [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -qy python3.11-venv; } || { \
	  echo "make: $(PYTHON) cannot make environments: sudo apt-get install python3.11-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --constraints requirements.lock --compile-bytecode \
	  --group dev --editable ".$(if $(EXTRAS),[$(EXTRAS)])"
	@touch $@

detect: export VIDEO := $(or $(VIDEO),examples/example.mp4)
detect: $(READY) $(if $(VIDEO),,examples/example.mp4)
	$(BIN)/avdetect detect -- "$$VIDEO"
	@echo "Without make: $(BIN)/avdetect detect CLIP.mp4 --report pages"
	@echo "(. $(BIN)/activate makes it 'avdetect'; pipx install . puts it on every shell's path)"

examples/example.mp4: avdetect/example.py | $(READY)
	$(BIN)/python -m avdetect.example $@

# two processes, each of whole files: their fixtures are made once
test: $(READY)
	$(PYTEST) -n 2 --dist loadfile
	$(PYTEST) --doctest-modules avdetect extractors fusion temporal pipelines

# those that need yt-dlp, or pyworld, which is built from source: a C++ compiler, Python's headers
test-extras:
	$(MAKE) install EXTRAS=train,web
	AVDETECT_NEED_WORLD=1 $(PYTEST) -m world
	$(PYTEST) tests/test_pipelines_storage_web.py

test-wheel: $(READY)
	$(PYTEST) -m wheel tests/test_wheel.py

fuzz: $(READY)
	$(PYTEST) -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

docs: $(VENV)/.ready-docs
	$(BIN)/jupyter-execute examples/timelines.ipynb
	$(BIN)/mkdocs build

$(VENV)/.ready-docs: $(READY)
	$(BIN)/uv pip install --python $(BIN)/python --constraints requirements.lock --group docs
	@touch $@

benchmark: $(READY)
	$(BIN)/avdetect benchmark

# The numbers of the model card, from manifests of one's own clips, each a column of its name:
#   make model-card VIDEOS="1=video/dev.csv" SPEECH="1=audio/dev.csv" PARTIAL="sound=partial.csv"
# SPLITS, WEIGHTS, DEVICE, WORKERS and OUT are optional. What was judged is kept in OUT.
model-card: $(READY)
	$(BIN)/python -m avdetect.model_card $(if $(VIDEOS),--videos $(VIDEOS)) \
	  $(if $(SPEECH),--speech $(SPEECH)) $(if $(PARTIAL),--partial $(PARTIAL)) \
	  $(if $(SPLITS),--splits $(SPLITS)) $(if $(WEIGHTS),--weights $(WEIGHTS)) \
	  $(if $(DEVICE),--device $(DEVICE)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(OUT),--out $(OUT))

# Resolves the pins anew: requirements.lock for developing, of it requirements.txt for plain pip. The
# lines kept name packages and versions, no place they came from.
COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --no-annotate \
	--no-header --no-emit-index-url --no-emit-find-links
lock: $(READY)
	$(COMPILE) --group dev --group docs --extra train --extra web --upgrade --output-file requirements.lock
	$(COMPILE) --constraints requirements.lock --upgrade --output-file requirements.txt
