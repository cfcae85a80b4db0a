# make setup   an environment in .venv with everything, Detectron2 included
# make doctor  what is installed, whether it fits, and what to do about what is wrong
# make demo    from a clone to a trained, scored and visible result in minutes, on a CPU
# make test    the test suite          make lint    formatting, lint, types
# make docs    the documentation, in build/site; warnings are errors
# make bench   the benchmarks (ratios, each side measured in one process)
#
# DETECTRON2=official           the official Detectron2 from GitHub, in .venv-official
# DETECTRON2=<path|wheel|url>   any other one, in an environment of its own
# PYTHON=python3.12             the interpreter that environments are made from
# VENV=<folder>                 the environment; one that is there is kept and completed
# TORCH=                        leave torch and torchvision as they are there
SHELL := /bin/bash
PYTHON ?= python3
TORCH ?= torch>=2.14 torchvision>=0.29
DETECTRON2 ?= embedded
OFFICIAL := git+https://github.com/facebookresearch/detectron2@02b5c4e295e990042a714712c21dc79b731e8833

# Every choice of Detectron2 has its own environment; in one environment the last choice wins.
checksum = $(shell printf '%s' '$(1)' | cksum | cut -d' ' -f1)
ifeq ($(DETECTRON2),embedded)
VENV ?= .venv
D2_SOURCE := -e ./embedded
else ifeq ($(DETECTRON2),official)
VENV ?= .venv-official
D2_SOURCE := "$(OFFICIAL)"
else
# A folder or a wheel by its full name, so that pip never takes it for the name of a package.
D2_CHOICE := $(or $(realpath $(DETECTRON2)),$(DETECTRON2))
VENV ?= .venv-$(call checksum,$(D2_CHOICE))
D2_SOURCE := "$(D2_CHOICE)"
endif
RUN := $(VENV)/bin/python
# Compiling PyTorch's Python files takes longer than downloading them; they compile when used.
PIP := $(RUN) -m pip install --quiet --no-compile
STAMP := $(VENV)/.ready-$(call checksum,$(D2_SOURCE))
DEV_STAMP := $(STAMP)-dev

# The compiled op is built where there is a C++ compiler; without one the plain PyTorch path runs.
DVPS_BUILD_OPS ?= $(if $(shell command -v c++ || command -v g++),1,0)

.PHONY: setup doctor test demo lint docs bench clean
setup: $(STAMP)

$(STAMP): setup.py pyproject.toml embedded/setup.py $(wildcard dvps_d2/ops/build.py dvps_d2/ops/csrc/*/* dvps_d2/ops/csrc/*)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip "setuptools<82" wheel ninja
	@rm -f $(VENV)/.ready*
	$(if $(strip $(TORCH)),$(PIP) $(foreach package,$(TORCH),"$(package)"))
	$(if $(wildcard $(VENV)/lib/python3*/site-packages/detectron2-*.dist-info),$(RUN) -m pip uninstall --quiet --yes detectron2)
	$(PIP) --no-build-isolation $(D2_SOURCE) || { echo "Without GitHub: make setup DETECTRON2=<path | wheel | git+file://...> of a copy"; exit 1; }
	DVPS_BUILD_OPS=$(DVPS_BUILD_OPS) $(PIP) --no-build-isolation -e .
	@$(RUN) -c "import detectron2, torch; from importlib.metadata import version; print('Detectron2', version('detectron2'), '| torch', torch.__version__)"
	@touch $@

doctor: setup
	$(RUN) -m dvps_d2.cli doctor

# Tools for tests and lint, which running models does not need.
$(DEV_STAMP): $(STAMP)
	$(PIP) $$($(RUN) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['dev'])")
	@touch $@

TESTS ?= tests embedded/tests
JOBS ?= 2
test: $(DEV_STAMP)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) --dist loadscope -m "not slow" $(TESTS)

STREET := $(or $(DETECTRON2_DATASETS),datasets)/street
DEMO := output/demo
demo: setup
	$(RUN) datasets/make_street.py --layout cityscapes_dvps --root $(STREET) --preset quick --train 400 --val 20 --workers 2
	$(RUN) train_net.py --config-file configs/experiments/street/mindvps_compact.yaml OUTPUT_DIR $(DEMO)
	$(RUN) -m dvps_d2.cli quickstart --run $(DEMO)

lint: $(DEV_STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# Two pages come from the code and are written anew.
docs: $(STAMP)-docs
	$(RUN) docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet

$(STAMP)-docs: $(STAMP)
	$(PIP) $(foreach package,$(shell $(PYTHON) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'])"),"$(package)")
	@touch $@

bench: setup
	@for script in benchmarks/*.py; do echo "== $$script"; $(RUN) $$script || exit 1; done

clean:
	rm -rf .venv .venv-* build *.egg-info output
