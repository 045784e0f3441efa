# The two commands that matter are `make demo` and `make test`; each does all the set-up it needs, once.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# The list of rooms stands in pyproject.toml, under [tool.olvido].
ROOMS := $(shell sed -n 's/^rooms = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",')

# Every process of a stack and of the tests would compile what changed since the set-up, every time.
unexport PYTHONDONTWRITEBYTECODE

.venv/.ready: requirements-bootstrap.lock requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Olvido needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements-bootstrap.lock
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q $(ROOMS)
	@touch $@

.PHONY: help setup demo training test proof check mypy pyright simulate chaos fmt lock clean bench
help: ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/.ready ## create .venv with everything pinned by hash

demo: .venv/.ready ## tell the story, check every promise: KEEP=1 SEED=11
	PYTHONPATH=examples $(BIN)/python -m demo $(if $(KEEP),--keep) $(if $(SEED),--seed $(SEED))

check: .venv/.ready ## formatter, linter, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory -j 3 mypy pyright $(BESIDE)

mypy: .venv/.ready
	$(BIN)/mypy $(ROOMS) examples tools

# What others type-check against, many of them with pyright: the SDK, and what a sink of their own implements. mypy
# has read all of it by then; `make proof` has pyright read all of it as well.
pyright: .venv/.ready
	$(BIN)/pyright producers sinks

# Files begin in the order that tests/costs.py gives them, and each stays in one worker. Four for two cores: half
# of the time of what begins first is waiting, for a session that runs out or a broker that comes up.
PYTEST := $(BIN)/pytest --numprocesses $(or $(WORKERS),4) $(if $(JUNIT),--junitxml $(JUNIT)) --dist loadgroup --no-loadscope-reorder

# Once a machine: no stack of the tests then loads all of Kafka and the registry anew. Not in a test's own time.
training: .venv/.ready
	@$(BIN)/python -m olvido.operators.local.training

# Once a set-up: else each worker would compile all tests, and all of them the same ones at the same time. A file
# that cannot be collected is an error of the run itself.
.venv/.compiled-tests: .venv/.ready
	@$(BIN)/pytest --collect-only --quiet > /dev/null || true
	@touch $@

test: BESIDE = training .venv/.compiled-tests
test: check ## everything that guards a change, on the real parts
	$(PYTEST) -m "not proof"

proof: .venv/.ready training ## what proves at length: worlds, kills, bugs, demo, wheel
	$(BIN)/pyright
	$(PYTEST) -m proof

simulate: .venv/.ready ## worlds of faults: SEEDS=100000 FIRST=0 GO_ON=1, or SEED=8443
	PYTHONPATH=tests nice -n 10 $(BIN)/python -m simulation.run $(if $(SEED),--seed $(SEED), \
		--seeds $(or $(SEEDS),10000) --first $(or $(FIRST),0) $(if $(GO_ON),--keep-going))

chaos: .venv/.ready ## kill real processes: KILLS=200 SEED= RATE= MINUTES= BUGS=all
	PYTHONPATH=tests:examples $(BIN)/python -m chaos $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(RATE),--rate $(RATE)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(FAULTS),--faults "$(FAULTS)") \
		$(if $(BUGS),--bugs $(BUGS)) $(if $(OUTPUT),-o $(OUTPUT))

fmt: .venv/.ready ## format and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: .venv/.ready ## compile the hashed lock files anew (names no index)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
		--python-version 3.11 --all-extras --group dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
		requirements-bootstrap.in -o requirements-bootstrap.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
		--python-version 3.11 --override bench/peers-override.in --extra processors pyproject.toml bench/peers.in \
		-o bench/peers.lock

.venv-peers/.ready: bench/peers.lock
	$(PYTHON) -m venv .venv-peers
	$(BIN)/uv pip sync --quiet --python .venv-peers/bin/python --require-hashes bench/peers.lock
	$(BIN)/uv pip install --python .venv-peers/bin/python --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q $(ROOMS)
	@touch $@

bench: .venv/.ready .venv-peers/.ready ## measure and draw: ONLY=engines|erasures|sink_kinds|chain|growth
ifneq ($(filter engines,$(or $(ONLY),engines)),)
	$(BIN)/python bench/engines.py --keep --peers .venv-peers/bin/python
endif
ifneq ($(filter erasures,$(or $(ONLY),erasures)),)
	$(BIN)/python bench/erasures.py --keep
endif
ifneq ($(filter sink_kinds,$(or $(ONLY),sink_kinds)),)
	PYTHONPATH=tests $(BIN)/python bench/sink_kinds.py --keep
endif
ifneq ($(filter chain,$(or $(ONLY),chain)),)
	$(BIN)/python bench/chain.py --keep
endif
ifneq ($(filter growth,$(or $(ONLY),growth)),)
	$(BIN)/python bench/growth.py --keep
endif
	.venv-peers/bin/python bench/plots.py

clean: ## remove .venv and what tools cached (not .olvido)
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
