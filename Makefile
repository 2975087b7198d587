# The front door. Everything happens in .venv (made when absent, renewed when pyproject.toml or
# constraints.txt change) and in AFM_HOME; nothing else on the machine is touched.
PYTHON ?= python3
PYTHON313 ?= python3.13
HOST ?= 127.0.0.1
PORT ?= 8000
AFM_HOME ?= .afm
# onnxruntime reports its use to its vendor unless this is set.
export ORT_DISABLE_TELEMETRY := 1

BIN := .venv/bin
INSTALLED := .venv/.installed
PIP := $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check -c constraints.txt

$(if $(shell printf %s '$(PORT)' | grep -xE '[0-9]{1,5}'),,$(error PORT=$(PORT): a port is a number up to 65535))

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
.PHONY: help install run test coverage py313 pages clients ray lint bench faults soak audit docs e2e up down logs ps upgrade rollback retrain backup restore rotate key sbom lock FORCE

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) ## .venv with afm-train and afm-serve; PYTHON=python3.12 for another Python

run: export AFM_HOME := $(AFM_HOME)
run: $(AFM_HOME)/fitted/published ## train on example data, publish, serve (HOST=, PORT=); own log: DATA=log.csv SCHEMA=schema.toml
	@echo "open http://$(HOST):$(PORT)/ to see why each ad scores as it does; the API: /docs; Ctrl-C ends it"
	@AFM_LOG_FORMAT=$${AFM_LOG_FORMAT:-console} $(BIN)/afm-serve run --host $(HOST) --port $(PORT)

test: $(INSTALLED) ## all tests, and the 25 slowest; TESTS=tests/unit for some of them
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=25 $(TESTS)

coverage: $(INSTALLED) ## which branches the tests run, by folder; TESTS= for some of them
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report= $(TESTS)
	@$(BIN)/python -m coverage json -q -o .coverage.json && $(BIN)/python tests/support/coverage_by_folder.py .coverage.json

py313: ## the unit tests that need no torch, on Python 3.13; PYTHON313= for another interpreter
	@[ -x .venv/py313/bin/pytest ] || { $(PYTHON313) -m venv .venv/py313 && .venv/py313/bin/python -m pip install \
	  -qq --no-input --disable-pip-version-check -c constraints.txt -e '.[serve]' httpx hypothesis pytest pytest-timeout; }
	@.venv/py313/bin/python -m pytest -q $$(.venv/py313/bin/python tests/support/without_torch.py)

pages: $(INSTALLED) ## the pages in a real browser: needs Chromium, installs its driver
	@$(PIP) -r tests/pages/requirements.txt
	@$(BIN)/python -m pytest -n 1 tests/pages

clients: $(INSTALLED) ## real clients and proxies against the service; INSTALL=1 installs them first
	@[ -z "$(INSTALL)" ] || tests/clients/install.sh
	@$(BIN)/python -m pytest -m clients -n 1 $(or $(TESTS),tests/clients)

ray: $(INSTALLED) ## fits, scores and searches on a Ray cluster of two nodes on this machine; installs Ray
	@$(PIP) -r tests/cluster/requirements.txt
	@$(BIN)/python -m pytest -n 1 tests/cluster

lint: $(INSTALLED) ## ruff (lint, format) and mypy strict, over benchmarks and tests too
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@MYPYPATH=client $(BIN)/mypy --strict client/ctr_afm_client
	@MYPYPATH=.:client:benchmarks:benchmarks/promises:tests/support $(BIN)/mypy \
	  benchmarks/*.py $(foreach folder,fits logs processes promises traffic,benchmarks/$(folder)/*.py) tests/support/*.py tests/conftest.py tests/unit tests/integration tests/load tests/e2e tests/pages tests/cluster tests/clients/*.py tests/clients/scripts/*.py

bench: $(INSTALLED) ## the service beside a plain version of it, as a table
	@$(BIN)/python benchmarks/serve.py

faults: $(INSTALLED) ## measures the promises under swaps, faults and floods; NAMES= for some of them
	@$(BIN)/python benchmarks/faults.py $(NAMES)

soak: $(INSTALLED) ## half an hour of mixed load with swaps, to see what grows; MINUTES= for another time
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

e2e: $(INSTALLED) ## the tests of the containers; they are skipped where no container engine answers
	@$(BIN)/python -m pytest -p no:xdist -m e2e -rP $(or $(TESTS),tests/e2e)

# The containers (docs/containers.md). SCALE=2: so many replicas behind a balancer.
ifdef SCALE
$(if $(shell printf %s '$(SCALE)' | grep -xE '[1-9]|1[0-6]'),,$(error SCALE=$(SCALE): 1 to 16 replicas))
endif
up: ## docker compose up, when it is new enough and every AFM_* variable is known; SCALE=2 for replicas
	@sh docker/check.sh
ifdef SCALE
	@AFM_SERVICE_PORT=0 AFM_REPLICAS=$(SCALE) docker compose --profile scale up -d --build --wait || sh docker/why.sh
else
	@docker compose up -d --build --wait || sh docker/why.sh
endif

down: ## docker compose down; the volumes stay
	@docker compose --profile scale down

logs: ## the logs of the containers, and what they add
	@docker compose --profile scale logs -f --tail 100

ps: ## the containers, and the bundles that were refused
	@docker compose --profile scale ps -a
	@[ -z "$$(docker compose ps -q --status running publisher)" ] || docker compose exec -T publisher \
	  sh -c 'grep -H . /var/lib/afm/handover/refused/*/REFUSED.txt 2>/dev/null || true'

upgrade: ## new images into running containers, one replica after the other
	@sh docker/upgrade.sh

rollback: ## the version that was active before
	@docker compose run --rm -T --no-deps publisher afm-serve rollback

# Without dependencies, so that no newer image or setting makes a container anew at night.
retrain: ## train on AFM_DATA from the active version, publish when it is not worse (for cron)
	@docker compose run --rm -T --no-deps live
	@docker compose run --rm -T --no-deps -e AFM_TRAIN=$(or $(AFM_TRAIN),warm) trainer train-once
	@docker compose run --rm -T --no-deps publisher publish-waiting

backup: ## the versions into the folder TO=
	@sh docker/backup.sh save $(TO)

restore: ## the versions from the folder FROM=, into empty volumes
	@sh docker/backup.sh restore $(FROM)

rotate: ## new passwords for the users of Redis, without a restart
	@docker compose exec -T redis sh /usr/local/share/afm/rotate-logins.sh

key: ## an API key into the folder AFM_API_KEYS: NAME=shop RIGHTS=predict
	@[ -d "$(AFM_API_KEYS)" ] || { echo "make key: AFM_API_KEYS='$(AFM_API_KEYS)' is to be a folder, as in: make key AFM_API_KEYS=./keys NAME=shop" >&2; exit 2; }
	@docker compose run --rm -T --no-deps --user "$$(id -u):$$(id -g)" -v "$$(realpath $(AFM_API_KEYS)):/keys" \
	  -e AFM_API_KEYS=/keys publisher afm-serve key $(NAME) --rights $(or $(RIGHTS),predict)
	@chmod a+r $(AFM_API_KEYS)/keys

# Each tool lives in an environment of its own, as pip-audit does.
sbom: $(INSTALLED) ## what the service's image installs: CycloneDX and licences, into dist/
	@[ -x .venv/sbom/bin/cyclonedx-py ] || { $(BIN)/python -m venv .venv/sbom && \
	  .venv/sbom/bin/python -m pip install -qq --no-input --disable-pip-version-check cyclonedx-bom==7.5.0; }
	@mkdir -p dist
	@.venv/sbom/bin/cyclonedx-py requirements docker/requirements-service.txt --of JSON -o dist/service.cdx.json
	@docker run --rm ctr-afm-service dpkg-query -W -f '$${Package}\t$${Version}\t$${Architecture}\n' > dist/os-packages.tsv
	@$(BIN)/python docker/os_packages.py dist/service.cdx.json < dist/os-packages.tsv && rm dist/os-packages.tsv
	@docker run --rm ctr-afm-service python /usr/local/share/afm/licences.py > dist/service-licences.csv
	@echo "dist/service.cdx.json, dist/service-licences.csv"

lock: $(INSTALLED) ## the hashes of what the images install, after a change of constraints.txt
	@[ -x .venv/lock/bin/uv ] || { $(BIN)/python -m venv .venv/lock && \
	  .venv/lock/bin/python -m pip install -qq --no-input --disable-pip-version-check uv==0.13.9; }
	@sh docker/lock.sh .venv/lock/bin/uv

# torch first, by itself: see the note in constraints.txt.
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
