# `make run` and `make test` need Python 3.11 or newer and make, nothing else.

VENV := .venv
BIN := $(VENV)/bin

# The first Python that is new enough; `make PYTHON=/path/to/python3.12 …` chooses another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)

RUNNABLE := $(VENV)/.runnable
TESTABLE := $(VENV)/.testable
INSTALL = sh deploy/packages/install.sh $(PYTHON)
# A release of the last days may still be withdrawn as malicious, so locks contain no younger one (`make AGE= lock` does).
AGE ?= 7 days
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	$(if $(AGE),--exclude-newer '$(AGE)') --custom-compile-command 'make lock'

# Most tests wait for processes they started, so three at a time suit two cores. Each file stays in one process.
TEST_PROCESSES ?= 3
# Without compiled files every process of the tests compiles all it imports.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest

DEPLOY_VENV := .venv-deploy
DEPLOY_BIN := $(CURDIR)/$(DEPLOY_VENV)/bin
DEPLOYABLE := $(DEPLOY_VENV)/.deployable

LLAMA_INDEX_VENV := .venv-llama-index
LLAMA_INDEX := tests/e2e/llama_index/requirements
LLAMA_INDEX_USABLE := $(LLAMA_INDEX_VENV)/.usable

.DEFAULT_GOAL := help
.PHONY: help run test test-slow faults check lint format bench soak audit sbom lock clean settings-docs deploy-synth deploy-test deploy-lock llama-index

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' Makefile

run: $(RUNNABLE) ## Serve on 127.0.0.1:8000 (HOST, PORT and every other setting: the environment or .env)
	@exec $(BIN)/python main.py serve

test: $(TESTABLE) ## Run the short suite, each test once (ARGS="-k name" for some of them; TEST_PROCESSES=0 one after the other)
	@$(PYTEST) -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: $(TESTABLE) ## Run the tests that take seconds of CPU each; `make test` leaves them out
	@$(PYTEST) -m 'slow and not faults' -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder tests $(ARGS)

faults: $(TESTABLE) ## Run the tests of crashes, outages and overload at full length
	@$(PYTEST) -m 'faults or not faults' tests/faults $(ARGS)
	@$(PYTEST) -m faults --ignore=tests/faults tests $(ARGS)

check: lint test ## Run all checks that have to pass before a commit

lint: $(TESTABLE) ## Check style, types and layers, without the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(TESTABLE) ## Format the code as `make lint` requires
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(TESTABLE) ## Measure the cost of the service; writes bench/RESULTS.md and plots (ARGS=--quick: only CPU, nothing written)
	@$(BIN)/python -m bench $(ARGS)

soak: $(TESTABLE) ## Run 200 000 chats, some faulty or abandoned, and measure the resources held afterwards
	@$(BIN)/python -m bench.soak $(ARGS)

audit: $(TESTABLE) ## Check for packages with known vulnerabilities, and for packages that are not locked
	@$(BIN)/python -m deploy.packages.audit

sbom: $(TESTABLE) ## Write the bill of materials to sbom.json, in CycloneDX format
	@$(BIN)/python -m deploy.packages.sbom >sbom.json

lock: $(TESTABLE) ## Regenerate the hashed lock files and the price list after a change of requirements*.txt
	@$(LOCK) requirements-uv.txt -o requirements-uv.lock
	@$(LOCK) requirements.txt -o requirements.lock
	@$(LOCK) requirements-dev.txt -c requirements.lock -o requirements-dev.lock
	@$(LOCK) $(LLAMA_INDEX).txt -o $(LLAMA_INDEX).lock
	@$(INSTALL) $(VENV) requirements-dev.lock
	@$(BIN)/python -m deploy.packages.prices

settings-docs: $(RUNNABLE) ## Write docs/settings.md and .env.example from the settings in infra/settings
	@$(BIN)/python -m docs.generate_settings

deploy-synth: $(DEPLOYABLE) ## Write the CloudFormation templates to deploy/aws/cdk.out (ARGS="size=medium imageTag=2 …")
	@cd deploy/aws && $(DEPLOY_BIN)/python synth.py $(ARGS)

deploy-test: $(DEPLOYABLE) ## Synthesise every variant of the templates, test, lint and check them
	@cd deploy/aws && $(DEPLOY_BIN)/python -m pytest -q $(ARGS)

deploy-lock: $(TESTABLE) ## Regenerate the hashed lock file of deploy/aws after a change of its requirements.txt
	@cd deploy/aws && $(CURDIR)/$(subst make lock,make deploy-lock,$(LOCK)) requirements.txt -o requirements.lock

llama-index: $(LLAMA_INDEX_USABLE) ## Install LlamaIndex for its tests, in an environment of its own

clean: ## Remove the virtual environments and caches; data/ stays
	@rm -rf $(VENV) $(DEPLOY_VENV) $(LLAMA_INDEX_VENV) deploy/aws/cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(RUNNABLE): requirements.lock requirements-uv.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. Install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11. Name a newer one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear --without-pip $(VENV)
	@$(INSTALL) $(VENV) requirements.lock
	@touch $@

$(TESTABLE): $(RUNNABLE) requirements-dev.lock
	@echo "Adding what the tests need"
	@$(INSTALL) $(VENV) requirements-dev.lock
	@touch $@

$(DEPLOYABLE): deploy/aws/requirements.lock
	@command -v node >/dev/null || { echo "The CDK needs Node.js 22 or newer, and there is no node here."; exit 1; }
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. Name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Making $(DEPLOY_VENV)"
	@$(PYTHON) -m venv --clear --without-pip $(DEPLOY_VENV)
	@$(INSTALL) $(DEPLOY_VENV) deploy/aws/requirements.lock
	@touch $@

$(LLAMA_INDEX_USABLE): $(LLAMA_INDEX).lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. Name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Making $(LLAMA_INDEX_VENV)"
	@$(PYTHON) -m venv --clear --without-pip $(LLAMA_INDEX_VENV)
	@$(INSTALL) $(LLAMA_INDEX_VENV) $<
	@touch $@
