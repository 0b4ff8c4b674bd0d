# Everything a newcomer needs, on a machine with Python 3.11 and make.
# `make help` lists the targets. No package index is named here: pip uses whatever the machine is set up with.

MEDAI_HOME ?= .medai
PYTHON ?=
export MEDAI_HOME

# Nothing of the caller's Python setup may leak into the environment that the locks describe.
unexport PYTHONPATH
unexport PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore

BIN = .venv/bin
PACKAGES = service audit traceability sbom migrations
LOCK = $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-find-links --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help demo serve test mutants evidence gate infra lint format bench bench-scale lock clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    install, start everything, send studies, verify every answer, show that an altered one is found'
	@echo 'make serve   keep the service on 127.0.0.1:8080 with a PostgreSQL of its own under $(MEDAI_HOME)/'
	@echo 'make test    run the whole test suite (ARGS="-k word" for a part of it)'
	@echo 'make gate    prove the requirements by what the last make test saw; says what is not proved'
	@echo 'make mutants try whether the tests of class C notice changed code, where code or tests have moved'
	@echo 'make evidence  make what a release is decided by in build/evidence (RELEASE_KEY=file signs it; ARGS="--advisories F")'
	@echo 'make infra   hold image, manifests, infrastructure and pipeline to their checks (checkov, hadolint, shellcheck)'
	@echo 'make lint    ruff, flake8, bandit, mypy, import contracts and the house tests'
	@echo 'make format  let ruff lay out the code'
	@echo 'make bench   measure (several minutes; BENCH_QUICK=1 for moments); writes build/bench/bench.txt and bench.json'
	@echo 'make bench-scale   the same of ten million records, made once (30 GB; BENCH_SCALE_FOLDER=folder says where)'
	@echo 'make lock    make the lock files anew from pyproject.toml'
	@echo 'make clean   end what was started here and remove what was made (asks before a ledger; FORCE=1)'
	@echo 'PYTHON=/path/to/python3.11 chooses the interpreter; MEDAI_HOME=folder the place of all state.'

demo: .venv/.demo .venv/.project
	@$(BIN)/medai demo

serve: .venv/.demo .venv/.project
	@exec $(BIN)/medai serve

# The run leaves the evidence that `gate`, `evidence` and `mutants` are made from.
test: .venv/.dev .venv/.project
	@$(BIN)/python -m pytest --evidence $(ARGS)

# Only those whose code or tests have moved; what is known of the others is in traceability/mutants.json.
mutants: .venv/.dev .venv/.project
	@$(BIN)/medai trace mutants $(ARGS)

gate: .venv/.dev .venv/.project
	@$(BIN)/medai trace check $(ARGS)

# What the last run of the tests left is in it. Offline and without advisories it says that nothing was checked.
evidence: .venv/.dev .venv/.project
	@RELEASE_KEY='$(RELEASE_KEY)' sh .ci/evidence $(ARGS)

# The image itself is built and started where CI=true is said, as root: it takes minutes, and mounts.
infra: .venv/.dev .venv/.project build/infra/.installed
	@$(BIN)/python -m pytest tests/system/kubernetes tests/system/test_system_infra.py tests/system/test_system_terraform.py \
		tests/system/test_system_pipeline.py tests/system/test_system_image.py $(ARGS)

lint: .venv/.dev .venv/.project
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/flake8
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(PACKAGES)
	$(BIN)/mypy --strict $(PACKAGES)
	$(BIN)/mypy tests
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q tests/house

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev .venv/.project
	@$(BIN)/python -m tests.benchmarks $(ARGS)

# Ten million records: needs some 30 GB and half an hour the first time; BENCH_SCALE_FOLDER keeps them for the next.
bench-scale: .venv/.dev .venv/.project
	@$(BIN)/python -m tests.benchmarks.scale

# Each lock is a superset of the one before and equal where they overlap: the earlier one constrains the later.
lock: .venv/.dev
	$(LOCK) -o requirements.lock pyproject.toml
	$(LOCK) -c requirements.lock --extra embedded --extra evidence --extra build -o requirements-demo.lock pyproject.toml
	$(LOCK) -c requirements-demo.lock --extra embedded --extra evidence --extra build --extra dev \
		-o requirements-dev.lock pyproject.toml
	$(LOCK) -o requirements-infra.lock requirements-infra.in

clean:
	@MEDAI_HOME='$(MEDAI_HOME)' FORCE='$(FORCE)' sh .ci/clean

# ---- the environment -----------------------------------------------------------------------------------------
# A stamp says that a lock was installed whole. An install that was interrupted leaves .venv/.installing behind,
# and the next one starts over: a half-unpacked package may look installed.

define install
	@PYTHON='$(PYTHON)' sh .ci/install $(1)
endef

.venv/.demo: requirements-demo.lock
	$(call install,requirements-demo.lock)
	@touch $@

# The development lock holds everything of the demonstration's.
.venv/.dev: requirements-dev.lock requirements-demo.lock
	$(call install,requirements-dev.lock)
	@touch .venv/.demo $@

.venv/.project: pyproject.toml | .venv/.demo
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

# Apart from .venv: checkov cannot live with what the bill of materials needs.
build/infra/.installed: requirements-infra.lock | .venv/.demo
	@$(BIN)/python -m venv --clear build/infra
	@build/infra/bin/python -m pip install --quiet --no-input --require-hashes --requirement requirements-infra.lock
	@touch $@
