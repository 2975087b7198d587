# The front door. Everything happens in .venv (made when absent, renewed when pyproject.toml or
# constraints.txt change) and in AFM_HOME; nothing else on the machine is touched.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
AFM_HOME ?= .afm
# onnxruntime reports its use to its vendor unless told not to.
export ORT_DISABLE_TELEMETRY := 1

BIN := .venv/bin
INSTALLED := .venv/.installed
PIP := $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check -c constraints.txt

# What `make run` serves: the example log, or DATA with its SCHEMA. FIT: further options for `fit`.
ifdef DATA
$(if $(wildcard $(DATA)),,$(error DATA=$(DATA): no such file))
$(if $(wildcard $(SCHEMA)),,$(error SCHEMA=$(SCHEMA): no such file; draft one with: $(BIN)/afm-train schema $(DATA) --label NAME --out schema.toml (after make install)))
LOG := $(DATA) $(SCHEMA)
BUNDLE := $(AFM_HOME)/fitted/$(subst /,-,$(patsubst /%,%,$(abspath $(DATA))))
else
EXAMPLE := $(AFM_HOME)/example
DATA := $(EXAMPLE)/train.parquet
SCHEMA := $(EXAMPLE)/schema.toml
LOG := $(SCHEMA)
BUNDLE := $(AFM_HOME)/fitted/example
FIT ?= --config training/configs/example.toml --test $(EXAMPLE)/test.parquet
endif

.DEFAULT_GOAL := help
.PHONY: help install run test clients lint bench faults soak audit docs FORCE

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) ## .venv with afm-train and afm-serve; PYTHON=python3.12 for another Python

run: export AFM_HOME := $(AFM_HOME)
run: $(AFM_HOME)/fitted/published ## train on example data, publish, serve (HOST=, PORT=); own log: DATA=log.csv SCHEMA=schema.toml
	@echo "serving on http://$(HOST):$(PORT); its pages: /docs; Ctrl-C ends it"
	@AFM_LOG_FORMAT=$${AFM_LOG_FORMAT:-console} $(BIN)/afm-serve run --host $(HOST) --port $(PORT)

test: $(INSTALLED) ## all tests; TESTS=tests/unit for some of them
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

clients: $(INSTALLED) ## real clients and proxies against the service; INSTALL=1 installs them first
	@[ -z "$(INSTALL)" ] || tests/clients/install.sh
	@$(BIN)/python -m pytest -m clients -n 1 $(or $(TESTS),tests/clients)

lint: $(INSTALLED) ## ruff (lint, format) and mypy strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(INSTALLED) ## the service beside an afternoon's version of it, as a table
	@$(BIN)/python benchmarks/serve.py

faults: $(INSTALLED) ## the promises under swaps, faults and floods, measured; NAMES= for some of them
	@$(BIN)/python benchmarks/faults.py $(NAMES)

soak: $(INSTALLED) ## half an hour of mixed load with swaps: what grows; MINUTES= for another time
	@$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),30)

# pip-audit lives in an environment of its own: nothing the product is made of needs it. It asks the
# package index for advisories, so it is no part of `make test`; what cannot be asked about is a failure.
audit: $(INSTALLED) ## known vulnerabilities of the pinned versions (needs the network)
	@[ -x .venv/audit/bin/pip-audit ] || { $(BIN)/python -m venv .venv/audit && \
	  .venv/audit/bin/python -m pip install -qq --no-input --disable-pip-version-check pip-audit==2.10.1; }
	@.venv/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

docs: $(INSTALLED) ## the documentation as a site in .site/html, without warnings
	@[ -x .venv/docs/bin/zensical ] || { $(BIN)/python -m venv .venv/docs && \
	  .venv/docs/bin/python -m pip install -qq --no-input --disable-pip-version-check -r docs/requirements.txt; }
	@$(BIN)/python docs/site.py .site
	@.venv/docs/bin/zensical build --strict --clean -f .site/zensical.toml

# torch first and alone: see the note in constraints.txt.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is not one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "installing into .venv (a minute or more the first time)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) -e '.[serve,train,dev]'
	@touch $@

$(AFM_HOME)/example/schema.toml: | $(INSTALLED)
	@echo "drawing an example log of 200,000 ad impressions"
	@$(BIN)/afm-train simulate --rows 200000 --seed 1 --out $(@D)

$(BUNDLE)/manifest.json: $(LOG) $(BUNDLE).how | $(INSTALLED)
	@rm -rf $(BUNDLE)
	@$(BIN)/afm-train fit $(DATA) --schema $(SCHEMA) --out $(BUNDLE) $(FIT)

# Schema and options a bundle is fitted with: written when they change, and so a reason to fit again.
$(BUNDLE).how: FORCE
	@mkdir -p $(@D) && echo '$(SCHEMA) $(FIT)' | cmp -s - $@ || echo '$(SCHEMA) $(FIT)' > $@

# Names what `make run` published last: a second run serves at once, one with other DATA publishes first.
$(AFM_HOME)/fitted/published: $(BUNDLE)/manifest.json FORCE
	@bundle="$(BUNDLE) $$(cksum < $<)"; [ "$$(cat $@ 2>/dev/null)" = "$$bundle" ] || \
	  { $(BIN)/afm-serve publish $(BUNDLE) && echo "$$bundle" > $@; }
