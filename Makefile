# `make demo` and `make test` set up everything they need in .venv, on a machine with Python 3.11+ and make.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

# Tests wait for peers and processes more than they compute, so there are two to a processor.
WORKERS := $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

CHROMIUM := $(shell for p in chromium chromium-browser google-chrome; do command -v $$p && break; done)

# Versions with the hashes of every file of theirs, for all Pythons and systems; without addresses.
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' --upgrade

.PHONY: help demo test test-postgres test-browser test-release pictures fuzz simulate chaos lint slack-types bench docs \
	lock settings hooks clean

help:   ## lists what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/.run   ## runs the bot against an embedded Slack and Sift, with a page to try it on
	$(BIN)/sift-retry demo

test: $(VENV)/.test   ## runs the tests, but for those in a browser
	$(BIN)/pytest -n $(WORKERS) --ignore=tests/browser

test-postgres: $(VENV)/.test   ## runs the scenarios on PostgreSQL; the other tests run on both databases anyway
	DATABASE=postgresql $(BIN)/pytest -n $(WORKERS) tests/scenarios

chaos: $(VENV)/.bench   ## breaks real processes, for minutes (SEED=…, ROUNDS=… or KILLS=…, REPLICAS=…, WORLDS=http,socket,sqlite)
	$(BIN)/python -m tests.chaos

test-browser: $(VENV)/.bench   ## uses the demo as people do, in the system's Chromium
	@test -n "$(CHROMIUM)" || { echo "Chromium is needed: chromium, chromium-browser or google-chrome" >&2; exit 1; }
	$(BIN)/pytest -n 2 --dist loadfile tests/browser

test-release: $(VENV)/.test   ## installs the wheel into empty environments, on the oldest and newest Python here
	RELEASE=1 $(BIN)/pytest tests/deploy/test_release.py

pictures: $(VENV)/.bench   ## takes the pictures of README and handbook from the demo (docs/pictures)
	@test -n "$(CHROMIUM)" || { echo "Chromium is needed: chromium, chromium-browser or google-chrome" >&2; exit 1; }
	$(BIN)/python -m tests.browser.pictures

fuzz: $(VENV)/.test   ## tries 10,000 payloads of each kind, others each time (FUZZ=… for more)
	FUZZ=$(or $(FUZZ),10000) $(BIN)/pytest -n $(WORKERS) tests/fuzz

simulate: $(VENV)/.test   ## runs simulated worlds in which everything goes wrong (SEEDS=10000), or one with its trace (SEED=7; DATABASE=postgresql)
	DATABASE=$(DATABASE) SEED=$(SEED) SEEDS=$(SEEDS) FROM=$(FROM) $(BIN)/python -m tests.simulation

lint: $(VENV)/.bench   ## checks style, types and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

slack-types: $(VENV)/.test   ## checks every message against Slack's own types, with npm's @slack/types
	@command -v npm >/dev/null || { echo "npm is needed" >&2; exit 1; }
	npm install --prefix build/slack-types --no-save --no-package-lock --silent @slack/types@2 typescript@5
	$(BIN)/python -m tests.slack_types build/slack-types/messages.ts
	build/slack-types/node_modules/.bin/tsc --noEmit --strict build/slack-types/messages.ts

bench: $(VENV)/.bench   ## measures, beside the bot that most people would write
	$(BIN)/python -m bench

docs: $(VENV)/.docs   ## builds the handbook into build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lock: $(VENV)/.bench   ## writes requirements*.txt anew: the newest that pyproject.toml allows
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) -c requirements.txt pyproject.toml --all-extras --group test --group bench --group deploy --group browser \
		-o requirements-test.txt
	$(COMPILE) --group build -o requirements-build.txt
	$(COMPILE) --group audit -o requirements-audit.txt

settings: $(VENV)/.test   ## writes .env.example and the settings' table in docs/operating.md from the settings
	$(BIN)/python -m tests.deploy.settings_table

hooks: $(VENV)/.bench   ## has git run the checks of `make lint` before each commit
	$(BIN)/pre-commit install

clean:   ## removes what was set up and built
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	@echo "Setting up $(VENV): this takes a minute, the first time only." >&2
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml
	$(PIP) install -e '.[demo,charts]'
	@touch $@

# Older pips do not know --group.
$(VENV)/.test: $(BIN)/python pyproject.toml
	$(PIP) install 'pip>=25.1'
	$(PIP) install -e '.[demo,charts,otel]' --group test
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.test
	$(PIP) install --group bench --group deploy --group browser
	@touch $@

$(VENV)/.docs: $(VENV)/.test
	$(PIP) install --group docs
	@touch $@
