# Targets set up the virtual environment first if it is missing or outdated. `make help` lists them.
PROFILE ?= default
# $(call quote,TEXT): TEXT as one word of the shell, since paths may contain spaces; $(value NAME) keeps their dollar signs.
quote = '$(subst ','\'',$(1))'
ifeq ($(origin RUN),undefined)
RUN := build/$(shell basename $(call quote,$(value PROFILE)) .toml)
endif
WORKERS ?= 0
VENV ?= .venv
# Address of a Dask scheduler whose workers bake, render, convert and predict; empty: use this machine.
SCHEDULER ?=
# Name of a study in assets/studies, or a path.
STUDY ?= ablation
# Number of processes that run the tests.
TEST_JOBS ?= 2
# Baseline of the evaluation: coco (the general model, a download), start (the start weights), or empty.
BASELINE ?= coco
# Further sets to evaluate on and to report, such as "--set site=photos/instances.json:photos/images".
SETS ?=
# Options of `transpalette improve`, such as "--rounds 5 --budget 2h".
IMPROVE ?=
# Folders of photographs without objects to train on, separated by spaces.
NEGATIVES ?=

PY := $(VENV)/bin/python
TOOL := $(PY) -m pipeline
# READY is empty if the environment is up to date: .ready has the checksum of these two files. Times do not count: a checkout
# changes them, and they can be in the future.
READY := $(VENV)/.ready
CHECKSUM := checksum $(shell cat pyproject.toml constraints.txt | cksum)
ifeq ($(shell cat $(READY) /dev/null 2>/dev/null),$(CHECKSUM))
READY :=
endif
SPLITS := train val test
# The other splits of the profile, which `make check` writes into a file; they are evaluated as sets of their own.
OTHER_SPLITS = $$(cat $(RUN_DIR)/.other-splits 2>/dev/null)
PROFILE_OPTION := --profile $(call quote,$(value PROFILE))
RUN_DIR := $(call quote,$(value RUN))
SCHEDULER_OPTION := $(addprefix --scheduler ,$(SCHEDULER))
# Warnings are errors: broken links, unknown paths, commands without a description.
DOCS := $(PY) -m sphinx -n -W --keep-going -q --fresh-env

.DEFAULT_GOAL := help
# The Makefile is phony, too: make would warn if its time is in the future.
.PHONY: Makefile $(READY) help all setup check people render coco train evaluate report improve preview demo test test-slow lint docs format doctor golden check-golden bench check-gpu study foundation clean
.NOTPARALLEL:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PROFILE=smoke|default|foundation, or the path of a profile; results go to build/PROFILE/"

all: report ## Run all stages: render, train, evaluate, report

setup: $(READY) ## Create the virtual environment with all packages

$(READY):
	@python=""; for p in "$$PYTHON" python3.11 python3.13 python3 python; do \
	  if [ -n "$$p" ] && "$$p" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 13)))' 2>/dev/null; \
	  then python=$$p; break; fi; done; \
	if [ -z "$$python" ]; then echo "error: no Python 3.11 or 3.13 found; Blender's module needs one of them: install one (Debian 12: apt-get install python3.11-venv), or set PYTHON=/path/to/python" >&2; exit 2; fi; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $$python cannot create virtual environments; install its venv package (Debian: apt-get install python3-venv)" >&2; exit 2; }; \
	echo "setup: $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(TOOL) doctor
	@echo "setup: preparing anny's model; this takes a minute once per machine"
	@$(PY) -m pipeline.people
	@echo '$(CHECKSUM)' > $@

check: $(READY)
	@$(TOOL) check $(PROFILE_OPTION) $(addprefix --split ,$(SPLITS)) --run $(RUN_DIR)

people: check ## Bake posed body meshes with anny
	@$(TOOL) people $(PROFILE_OPTION) --out $(RUN_DIR)/people $(SCHEDULER_OPTION)

render: people ## Render the splits of the profile
	@for split in $(SPLITS) $(OTHER_SPLITS); do $(TOOL) render $(PROFILE_OPTION) --split $$split \
	  --people $(RUN_DIR)/people --out $(RUN_DIR)/$$split --workers $(WORKERS) --update $(SCHEDULER_OPTION) || exit $$?; done

coco: render ## Write COCO annotations for each split
	@for split in $(SPLITS) $(OTHER_SPLITS); do $(TOOL) coco $(PROFILE_OPTION) $(RUN_DIR)/$$split $(SCHEDULER_OPTION) || exit $$?; done

train: coco ## Fine-tune Mask R-CNN on the training split
	@set --; for split in $(OTHER_SPLITS); do if [ "$$split" = ordinary ]; then set -- --threshold-set $(RUN_DIR)/ordinary; fi; done; \
	$(TOOL) train $(PROFILE_OPTION) --train $(RUN_DIR)/train --val $(RUN_DIR)/val --out $(RUN_DIR) $(addprefix --negatives ,$(NEGATIVES)) "$$@"

evaluate: train ## Compute COCO AP on the test split, and figures of each other split
	@set --; for split in $(OTHER_SPLITS); do \
	  set -- "$$@" --set "$$split="$(RUN_DIR)"/$$split/annotations.json:"$(RUN_DIR)"/$$split/images"; done; \
	$(TOOL) evaluate $(RUN_DIR)/model.safetensors --annotations $(RUN_DIR)/test/annotations.json --images $(RUN_DIR)/test/images \
	  $(PROFILE_OPTION) --out $(RUN_DIR)/evaluation $(addprefix --baseline ,$(BASELINE)) "$$@" $(SETS) $(SCHEDULER_OPTION)

report: evaluate ## Write an HTML page about the run
	@$(TOOL) report $(PROFILE_OPTION) $(RUN_DIR)

improve: train ## Render what the model is surely weak at and train on, in rounds; IMPROVE="--rounds 5 --budget 2h"
	@set --; for split in $(OTHER_SPLITS); do if [ "$$split" = ordinary ]; then set -- --threshold-set $(RUN_DIR)/ordinary; fi; done; \
	$(TOOL) improve $(RUN_DIR) $(PROFILE_OPTION) --workers $(WORKERS) $(addprefix --negatives ,$(NEGATIVES)) "$$@" $(SETS) $(IMPROVE)

preview: coco ## Write a contact sheet of the training split with its masks
	@$(TOOL) preview $(RUN_DIR)/train --out $(RUN_DIR)/preview.png

demo: $(READY) ## Detect people and pallet trucks in three rendered pictures with the model that comes with Transpalette
	@$(TOOL) predict assets/demo --out build/demo
	@echo "demo: the pictures are in build/demo/"

check-golden: $(READY) ## Render the golden frames and compare them with tests/golden/
	@rm -rf build/golden/golden # existing frames may be from older code with the same fingerprint
	@$(TOOL) people --profile tests/golden/golden.toml --out build/golden/people
	@$(PY) -m tests.golden.compare --people build/golden/people --out build/golden/golden

golden: $(READY) ## Replace the golden frames, after raising RENDER_VERSION
	@rm -rf build/golden/golden
	@$(TOOL) people --profile tests/golden/golden.toml --out build/golden/people
	@$(PY) -m tests.golden.compare --people build/golden/people --out build/golden/golden --renew

bench: people ## Measure speed and memory beside references, in build/bench/; BENCH="--only render" for a part
	@$(PY) -m pipeline.bench $(PROFILE_OPTION) --people $(RUN_DIR)/people --out build/bench $(BENCH)

check-gpu: people ## Compare rendering, training and prediction on a GPU with the CPU; at most 8 minutes
	@$(PY) -m pipeline.bench.gpu_check $(PROFILE_OPTION) --people $(RUN_DIR)/people --out build/check-gpu

study: $(READY) ## Compare variants of a profile: STUDY=ablation|freezing|effort|start|loop, PHOTOS="--annotations FILE --images DIR"
	@study=$(call quote,$(value STUDY)); \
	  $(PY) -m pipeline.bench.study "$$study" --out "build/studies/$$(basename "$$study" .toml)" $(PHOTOS)

foundation: ## Train the general warehouse detector of eleven classes (hours); its 8-bit file is build/foundation/warehouse.safetensors
	@$(MAKE) --no-print-directory train PROFILE=foundation
	@$(TOOL) export build/foundation/model.safetensors --format safetensors --int8 --out build/foundation/warehouse.safetensors \
	  --annotations build/foundation/test/annotations.json --images build/foundation/test/images

test: $(READY) ## Run the tests that take minutes
	@$(PY) -m pytest -m "not slow" --numprocesses $(TEST_JOBS) --dist loadfile

test-slow: $(READY) ## Run the slow tests, which CI runs every night
	@$(PY) -m pytest -m slow

lint: $(READY) ## Run ruff, mypy, import contracts and documentation checks
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(DOCS) -b dummy docs build/docs-check

docs: $(READY) ## Build the documentation site in build/docs/
	@$(DOCS) -b html docs build/docs
	@echo "docs: build/docs/index.html"

format: $(READY) ## Format the code and fix lint errors with ruff
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

doctor: $(READY) ## Check the hardware and software of this machine
	@$(TOOL) doctor

clean: ## Remove build/ (renders, models, reports)
	rm -rf build
