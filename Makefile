# Every target sets up the virtual environment first, if it isn't there. `make help` lists them.
PROFILE ?= default
SETTINGS := $(if $(wildcard $(PROFILE)),$(PROFILE),assets/profiles/$(PROFILE).toml)
RUN ?= build/$(basename $(notdir $(SETTINGS)))
WORKERS ?= 0
VENV ?= .venv
# Address of a Dask scheduler whose workers bake, render, convert and predict; none: this machine.
SCHEDULER ?=
# A file in assets/studies, or the path of your own.
STUDY ?= ablation
# Processes that run the tests.
TEST_JOBS ?= 2
# What the result is compared with: coco (the general model, a download), start, or nothing.
BASELINE ?= coco

PY := $(VENV)/bin/python
TOOL := $(PY) -m pipeline
READY := $(VENV)/.ready
SPLITS := train val test
THERE := $(addprefix --scheduler ,$(SCHEDULER))
# Strict: broken links, unknown paths and commands without a description are errors.
DOCS := $(PY) -m sphinx -n -W --keep-going -q --fresh-env

.DEFAULT_GOAL := help
.PHONY: help all setup check people render coco train evaluate report preview test test-slow lint docs format doctor golden check-golden bench study clean
.NOTPARALLEL:

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PROFILE=smoke|default|full, or the path of your own profile; results go to build/PROFILE/"

all: report ## From nothing to a fine-tuned model and its report

setup: $(READY) ## The virtual environment with everything in it

$(READY): pyproject.toml constraints.txt
	@python=""; for p in "$$PYTHON" python3.11 python3.13 python3 python; do \
	  if [ -n "$$p" ] && "$$p" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 13)))' 2>/dev/null; \
	  then python=$$p; break; fi; done; \
	if [ -z "$$python" ]; then echo "error: no Python 3.11 or 3.13 found; Blender's module needs one of them: install it (Debian 12: apt-get install python3.11-venv), or name it with PYTHON=/path/to/python" >&2; exit 2; fi; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $$python cannot make virtual environments; install its venv package (Debian: apt-get install python3-venv)" >&2; exit 2; }; \
	echo "setup: $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(TOOL) doctor
	@echo "setup: anny's model, which takes a minute once on a machine"
	@$(PY) -c 'from pipeline.people.bodies import load_anny; load_anny()'
	@touch $@

check: $(READY)
	@$(TOOL) check --profile $(SETTINGS)

people: check ## Bake posed adults with anny
	@$(TOOL) people --profile $(SETTINGS) --out $(RUN)/people $(THERE)

render: people ## Render the train, val and test splits
	@for split in $(SPLITS); do $(TOOL) render --profile $(SETTINGS) --split $$split \
	  --people $(RUN)/people --out $(RUN)/$$split --workers $(WORKERS) --update $(THERE) || exit $$?; done

coco: render ## Write COCO annotations for each split
	@for split in $(SPLITS); do $(TOOL) coco --profile $(SETTINGS) $(RUN)/$$split $(THERE) || exit $$?; done

train: coco ## Fine-tune Mask R-CNN on the renders
	@$(TOOL) train --profile $(SETTINGS) --train $(RUN)/train --val $(RUN)/val --out $(RUN)

evaluate: train ## COCO AP on the held-out renders
	@$(TOOL) evaluate $(RUN)/model.safetensors --annotations $(RUN)/test/annotations.json --images $(RUN)/test/images \
	  --profile $(SETTINGS) --out $(RUN)/evaluation $(addprefix --baseline ,$(BASELINE)) $(THERE)

report: evaluate ## One HTML page about the run
	@$(TOOL) report --profile $(SETTINGS) $(RUN)

preview: coco ## Contact sheet of the training split with its masks
	@$(TOOL) preview $(RUN)/train --out $(RUN)/preview.png

check-golden: $(READY) ## Render the golden frames and compare them with those in tests/golden/
	@rm -rf build/golden/golden # the code may have changed since, without another fingerprint
	@$(TOOL) people --profile tests/golden/golden.toml --out build/golden/people
	@$(PY) -m tests.golden.compare --people build/golden/people --out build/golden/golden

golden: $(READY) ## Renew the golden frames, after raising RENDER_VERSION
	@rm -rf build/golden/golden
	@$(TOOL) people --profile tests/golden/golden.toml --out build/golden/people
	@$(PY) -m tests.golden.compare --people build/golden/people --out build/golden/golden --renew

bench: people ## Speed and memory beside references, in build/bench/; BENCH="--only render" for a part
	@$(PY) -m pipeline.bench --profile $(SETTINGS) --people $(RUN)/people --out build/bench $(BENCH)

study: $(READY) ## What parts of a profile bring: STUDY=ablation|freezing|effort, PHOTOS="--annotations FILE --images DIR"
	@$(PY) -m pipeline.bench.study $(if $(wildcard $(STUDY)),$(STUDY),assets/studies/$(STUDY).toml) \
	  --out build/studies/$(basename $(notdir $(STUDY))) $(PHOTOS)

test: $(READY) ## The tests that run within minutes
	@$(PY) -m pytest -m "not slow" --numprocesses $(TEST_JOBS) --dist loadfile

test-slow: $(READY) ## The nightly tests
	@$(PY) -m pytest -m slow

lint: $(READY) ## ruff, mypy, import contracts, documentation checks
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(DOCS) -b dummy docs build/docs-check

docs: $(READY) ## The documentation site, in build/docs/
	@$(DOCS) -b html docs build/docs
	@echo "docs: build/docs/index.html"

format: $(READY) ## Let ruff fix what it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

doctor: $(READY) ## What this machine has and lacks
	@$(TOOL) doctor

clean: ## Remove build/ (renders, models, reports)
	rm -rf build
