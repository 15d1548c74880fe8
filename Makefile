# Two commands: `make run` and `make test`. All they need is python3 (3.11 to 3.13), make and a C library.

PYTHON ?= python3
# More than cores: many tests wait for a socket or a process. Whoever is done takes over what waits behind a long proof.
JOBS ?= 4
BIN := .venv/bin
RUN := .venv/.installed
DEV := .venv/.installed-dev
BROWSER := .venv/.installed-browser
NODE := tests/clients/node_modules/.installed
CLIENTS := build/clients/.installed
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
POSTGRESQL := $(BIN)/python -m tests.postgres --
VOLATILE := $(BIN)/python -m tests.postgres --volatile --
PYTEST := $(BIN)/pytest -n $(JOBS) --dist worksteal --durations 15
LOAD := build/load build/upstream

# What a production installation sets, for the checks that look at it.
PRODUCTION := env PREPAID_ENV_FILE=/dev/null DEBUG=false PUBLIC_URL=https://prepaid.example ALLOWED_HOSTS=prepaid.example \
	DATABASE_URL=postgresql://prepaid@127.0.0.1/prepaid OPENROUTER_API_KEY=sk-or-v1-example \
	SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	API_KEY_PEPPER="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	RECEIPT_SIGNING_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(32))')"

.DELETE_ON_ERROR:
.PHONY: help run test lint types imports checks test-sqlite test-postgresql test-clients prove prove-ledger \
	prove-ceiling prove-overspend prove-crashes prove-revocation prove-streams mutate fuzz bench bench-peers bench-profile \
	bench-hot bench-size lock

help:
	@echo "make run               serve on http://127.0.0.1:8000, with demo data and a simulated provider"
	@echo "make test              every check: style, types, imports, migrations, deployment, OpenAPI, tests on both databases"
	@echo "make lint types imports checks test-sqlite test-postgresql"
	@echo "                       the parts of it"
	@echo "make test-clients      real clients and one generated from the schema, against a server (needs npm and Chromium)"
	@echo "make prove             races, kills and properties, for longer"
	@echo "make prove-ledger      a million random steps of the bank against a model of it, replayable (SEED=, STEPS=)"
	@echo "make prove-ceiling     100,000 random requests and price tables: none is billed more than it holds"
	@echo "make prove-overspend   100,000 holds by 64 clients in two processes, each decision worked out again"
	@echo "make prove-crashes     PostgreSQL and the process that spends, killed under load"
	@echo "make prove-revocation  10,000 races of calls in four processes with keys that are revoked and customers suspended"
	@echo "make prove-streams     10,000 streams that go wrong at random, each charged what was booked; 1,000 open at once (SEED=, STREAMS=)"
	@echo "make mutate            2,500 mistakes in the money's code, one at a time: does a test see each? (MINUTES=)"
	@echo "make fuzz              100,000 requests made from the OpenAPI document, each answer one that it promises (CASES=)"
	@echo "make bench             side by side with a bare pass-through (needs Linux and cc)"
	@echo "make bench-peers       and with other gateways (needs Node.js)"
	@echo "make bench-profile     where the server's CPU goes"
	@echo "make bench-hot         holds and settlements a second on one account"
	@echo "make bench-size        every list and summary at millions of calls (ROWS=)"
	@echo "make lock              compile the pinned requirements"

run: $(RUN) .env
	@exec $(BIN)/python manage.py run

test: lint types imports checks test-sqlite test-postgresql

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV)
	$(BIN)/mypy

imports: $(DEV)
	$(BIN)/lint-imports

checks: $(DEV)
	env -u DATABASE_URL $(BIN)/python manage.py makemigrations --check --dry-run --settings tests.settings
	@echo manage.py check --deploy --fail-level WARNING
	@$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	env -u DATABASE_URL $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null --settings tests.settings

test-sqlite: $(DEV)
	env -u DATABASE_URL $(PYTEST)

test-postgresql: $(DEV)
	$(VOLATILE) $(PYTEST)

test-clients: $(BROWSER) $(NODE) $(CLIENTS)
	$(VOLATILE) $(BIN)/pytest -m clients tests/clients

prove: $(DEV)
	env -u DATABASE_URL HYPOTHESIS_PROFILE=thorough $(BIN)/pytest -m proof --timeout 1800
	HYPOTHESIS_PROFILE=thorough $(POSTGRESQL) $(BIN)/pytest -m proof --timeout 1800

# STEPS on each database. A history that ends badly prints the SEED and the STEPS that live through it again.
prove-ledger: STEPS ?= 1000000
prove-ledger: SEED ?= $(shell $(PYTHON) -c 'import random; print(random.getrandbits(32))')
prove-ledger: $(DEV)
	@seed=$(SEED); echo "SEED=$$seed STEPS=$(STEPS)"; export SEED=$$seed STEPS=$(STEPS); \
	env -u DATABASE_URL $(PYTEST) tests/simulation && $(VOLATILE) $(PYTEST) tests/simulation

prove-ceiling: $(DEV)
	env -u DATABASE_URL EXAMPLES=100000 $(BIN)/pytest --timeout 3600 tests/ai/test_demand.py

prove-overspend: $(DEV)
	ATTEMPTS=100000 $(POSTGRESQL) $(BIN)/pytest tests/proofs/test_overspend.py

prove-crashes: $(DEV)
	env -u DATABASE_URL CYCLES=20 $(BIN)/pytest tests/proofs/test_crashes.py

prove-revocation: $(DEV)
	RACES=$(or $(RACES),10000) $(POSTGRESQL) $(BIN)/pytest -s tests/proofs/test_revocation.py

# What it prints lives through the same again with its SEED, as far as chance is in it.
prove-streams: $(DEV)
	STREAMS=$(or $(STREAMS),10000) OPEN_STREAMS=1000 $(POSTGRESQL) $(BIN)/pytest --timeout 7200 tests/proofs/test_streams.py \
		tests/ai/test_streaming.py::test_open_streams_hold_no_connections

# Goes on where it was stopped: what is known is kept in build/mutation.
mutate: $(DEV)
	env -u DATABASE_URL $(BIN)/python -m tests.mutation $(if $(MINUTES),--minutes $(MINUTES)) $(MODULES)

fuzz: $(DEV)
	env -u DATABASE_URL CASES=$(or $(CASES),100000) $(BIN)/pytest -s tests/fuzz

bench: $(DEV) $(LOAD)
	$(BIN)/python -m benchmarks compare

bench-peers: $(DEV) $(LOAD) build/peers/.installed
	$(BIN)/python -m benchmarks compare --peers

bench-profile: $(DEV) $(LOAD) build/py-spy/.installed
	$(BIN)/python -m benchmarks profile

bench-hot: $(DEV)
	$(PRODUCTION) DATABASE_POOL_SIZE=0 DJANGO_SETTINGS_MODULE=config.settings env -u DATABASE_URL \
		$(POSTGRESQL) $(BIN)/python -m benchmarks.hot_account

# Some 4 GB of disk and 2 minutes for a million rows.
bench-size: $(DEV)
	$(PRODUCTION) DATABASE_POOL_SIZE=0 ROWS=$(or $(ROWS),10000000) env -u DATABASE_URL \
		$(VOLATILE) $(BIN)/python -m benchmarks.usage_at_size

lock: $(DEV)
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url tests/clients/requirements.in -o tests/clients/requirements.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url tests/clients/python/requirements.in -o tests/clients/python/requirements.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url benchmarks/requirements.in -o benchmarks/requirements.txt

# What is installed, stamped: the second time costs nothing.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Prepaid runs on Python 3.11 to 3.13, and $(PYTHON) is $$($(PYTHON) --version). Try make PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv .venv

$(RUN): requirements.txt | $(BIN)/python
	$(INSTALL) -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUN)
	$(INSTALL) -r requirements.txt -r requirements-dev.txt
	@touch $@

$(BROWSER): tests/clients/requirements.txt $(DEV)
	$(INSTALL) -r tests/clients/requirements.txt
	@touch $@

$(NODE): tests/clients/package-lock.json tests/clients/.npmrc
	@command -v npm > /dev/null || { echo "make test-clients installs OpenAI's and Vercel's clients with npm, and there is none."; exit 1; }
	cd tests/clients && npm ci --loglevel error
	@touch $@

# Apart from the product: what these need, it does not.
$(CLIENTS): tests/clients/python/requirements.txt | $(BIN)/python
	$(BIN)/python -m venv build/clients
	build/clients/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

build/%: benchmarks/%.c
	@mkdir -p build
	$(CC) -O2 -Wall -o $@ $<

build/py-spy/.installed: benchmarks/requirements.txt | $(BIN)/python
	$(INSTALL) --upgrade --target build/py-spy -r $<
	@touch $@

build/peers/.installed: benchmarks/peers/install.sh benchmarks/peers/prisma-engine.js
	PYTHON=$(PYTHON) sh $< build/peers
	@touch $@

# Secrets of this installation. Whatever else .env.example lists may be added.
.env:
	@umask 077 && $(PYTHON) -c 'from secrets import token_urlsafe as secret; \
		print(f"SECRET_KEY={secret(50)}\nAPI_KEY_PEPPER={secret(50)}\nRECEIPT_SIGNING_KEY={secret(32)}")' > $@.new && mv $@.new $@
