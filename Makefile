# `make` alone prints what there is. Everything runs from .venv/, which any target sets up first.
.DEFAULT_GOAL := help
.PHONY: help setup dev test check format bench eval fuzz fuzz-api openapi slowloris storm chaos mutants deploy-test test-localstack lock clean

PYTHON ?= python3
PYTHON313 ?= python3.13
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A lock names no download address, so that it works with any index.
COMPILE_GROUP = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --quiet --custom-compile-command "make lock"
COMPILE = $(COMPILE_GROUP) pyproject.toml

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(READY) ## Make .venv/ with everything in it

$(READY): pyproject.toml locks/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Docrelay needs Python 3.11 or newer. Name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "Setting up $(VENV)/ (once, a minute or two) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

dev: setup ## Run the whole stack on this machine: API, worker, AWS emulator, PostgreSQL
	@exec $(BIN)/docrelay dev

# More processes than cores: most tests wait for a lease, a queue or a child process.
test: setup ## Run all tests
	$(BIN)/python -m pytest -n 4 --dist worksteal

check: setup ## Lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Run the benchmarks
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

FUZZ_MINUTES ?= 10

fuzz: setup ## Mutate documents for FUZZ_MINUTES and see that each ends as text or with its cause
	$(BIN)/python tests/chaos/fuzz_extraction.py --minutes $(FUZZ_MINUTES)

FUZZ_EXAMPLES ?= 30
FUZZ_SEED ?=

fuzz-api: setup ## Send generated requests to every route of a running stack (FUZZ_EXAMPLES each, of FUZZ_SEED) and check every answer
	$(BIN)/python -m tests.chaos.fuzz_api --examples $(FUZZ_EXAMPLES) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

slowloris: SHELL := bash
slowloris: setup ## Open 500 connections that hardly send, and upload beside them
	@set -o pipefail; $(BIN)/python -m tests.chaos.slowloris | tee docs/results/slowloris.txt

openapi: setup ## Write docs/openapi.json, the API's description
	$(BIN)/python -m tests.support.openapi_document > docs/openapi.json

# The emulator's DynamoDB is slower than the real one by far, and the slower the longer a feed is: more owners for it.
storm: setup ## Cut connections of the stream and kill API processes for many minutes, and count what clients miss
	$(BIN)/python -m tests.chaos.storm
	$(BIN)/python -m tests.chaos.storm --store dynamodb --owners 50 --events-per-second 10 --connects 0

eval: setup ## Measure the offline analyzer, and with OPENAI_API_KEY the model, on documents of our own
	@$(BIN)/python -m evaluation

chaos: setup fuzz ## Run fuzz, then the chaos scenarios at full size (three quarters of an hour), and write docs/results/chaos.txt
	$(BIN)/python -m tests.chaos all

mutants: setup ## Break each invariant on purpose and show what notices
	$(BIN)/python -m tests.chaos.mutants
	$(BIN)/python -m pytest -q tests/chaos/test_mutants.py tests/chaos/test_stream_mutants.py tests/chaos/test_model.py

# SAM's CLI, the emulator and Lambda's runtime client, each alone: what a bundle lacks must not be found beside it.
.venv-%/.ready: locks/deploy/%.lock
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

deploy-test: SHELL := bash
deploy-test: setup .venv-sam/.ready .venv-emulator/.ready .venv-runtime/.ready ## Deploy with SAM to an emulated AWS, and verify it
	@set -o pipefail; $(BIN)/python -m tests.deploy.run | tee docs/results/deploy-test.txt

.venv-localstack/.ready: locks/deploy/localstack.lock $(READY)
	@$(PYTHON313) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || \
		{ echo "LocalStack 4.14.0 runs on Python 3.13 alone. Name one: make PYTHON313=... test-localstack" >&2; exit 2; }
	@test -x .venv-localstack/bin/python || $(PYTHON313) -m venv .venv-localstack
	@$(BIN)/uv pip install --quiet --python .venv-localstack/bin/python --require-hashes -r $<
	@touch $@

# The deselected test: LocalStack empties the object that a put it refuses would have replaced; S3 keeps it.
test-localstack: SHELL := bash
test-localstack: setup .venv-localstack/.ready ## Test blobs, queue, init script and containers' processes against LocalStack
	@set -o pipefail; $(BIN)/python -m pytest --localstack -n 0 -v --no-header --show-capture=no --timeout=300 \
		tests/contracts/test_blob_store.py tests/contracts/test_job_queue.py tests/localstack/init_script.py \
		tests/journeys/test_compose_processes.py \
		--deselect tests/contracts/test_blob_store.py::test_bytes_that_do_not_match_their_hash_are_not_stored | tee docs/results/test-localstack.txt

# `sam build` makes these, each in a folder that it names ARTIFACTS_DIR.
build-ApiFunction:
	infra/bundle.sh lambda-api api_service shared

build-WorkerFunction:
	infra/bundle.sh lambda-worker worker_service shared

build-UploadedFunction:
	infra/bundle.sh lambda-core api_service shared

build-SweepFunction build-DeadLetterFunction:
	infra/bundle.sh lambda-core worker_service shared

lock: setup ## Lock the dependencies again
	$(COMPILE) --extra embedded --extra lambda --extra langgraph --group dev -o locks/dev.lock
	$(COMPILE) --extra api --extra postgres -c locks/dev.lock -o locks/api.lock
	$(COMPILE) --extra worker --extra postgres -c locks/dev.lock -o locks/worker.lock
	$(COMPILE) --extra cli -c locks/dev.lock -o locks/tools.lock
	$(COMPILE) --extra api --extra lambda -c locks/dev.lock -o locks/lambda-api.lock
	$(COMPILE) --extra worker -c locks/dev.lock -o locks/lambda-worker.lock
	$(COMPILE) -c locks/dev.lock -o locks/lambda-core.lock
	$(COMPILE_GROUP) --group sam -o locks/deploy/sam.lock
	$(COMPILE_GROUP) --group emulator -o locks/deploy/emulator.lock
	$(COMPILE_GROUP) --group lambda-runtime -o locks/deploy/runtime.lock
	$(subst --universal --python-version 3.11,--python-version 3.13,$(COMPILE_GROUP)) --exclude-newer 2026-02-27 \
		--group localstack -o locks/deploy/localstack.lock

clean: ## Remove everything that was made here, the embedded stack's data included
	rm -rf $(VENV) .venv-sam .venv-emulator .venv-runtime .venv-localstack .aws-sam .docrelay .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
