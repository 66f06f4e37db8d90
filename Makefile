# Run `make` for a list of the targets. What they need (a virtual environment, a
# Java that Spark can use) is found or installed by tools/bootstrap.py.

PYTHON ?= python3
# Further arguments, for example: make test ARGS="-k window"
ARGS :=
# For example: make setup BOOTSTRAP_ARGS=--no-system-packages
BOOTSTRAP_ARGS ?=

# The virtual environment; `make test-spark` has others.
export VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
READY_DEV := $(VENV)/ready-dev
READY_DOCS := $(VENV)/ready-docs
JAR_SETS := connector broker flume
CLUSTER_JAR_SETS := hdfs s3
JARS := .jars/ready
CLUSTER_JARS := .jars/ready-cluster
CLASSES := $(VENV)/ready-classes
BROWSER := $(VENV)/ready-browser

# A Spark installation in the user's environment must not replace the one in .venv.
unexport SPARK_HOME SPARK_CONF_DIR SPARK_REMOTE SPARK_API_MODE SPARK_CONNECT_MODE_ENABLED
unexport PYSPARK_SUBMIT_ARGS PYTHONPATH
export PYSPARK_PYTHON := $(abspath $(PY))
export PYSPARK_DRIVER_PYTHON := $(PYSPARK_PYTHON)
# Everything runs on this host, also when its own name cannot be resolved.
export SPARK_LOCAL_IP ?= 127.0.0.1

# The Java that was found at set-up, unless make is told another one: make test JAVA_HOME=/usr/lib/jvm/temurin-25
ifneq ($(origin JAVA_HOME),command line)
WITH_JAVA = JAVA_HOME="$$($(PY) tools/bootstrap.py --print-java-home)" && export JAVA_HOME &&
endif

.DEFAULT_GOAL := help
.PHONY: help setup jars dev run test test-all test-cluster test-spark coverage lint types check format examples docs docs-site docs-serve pictures parity bench bench-quick bench-memory bench-scaling bench-start bench-sockets bench-page soak soak-receiver dist clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## create .venv with dstreams and what its tests need, find or install Java

jars: $(JARS) $(CLUSTER_JARS) ## fetch what the tests need of Kafka, Flume, HDFS and S3 into .jars (with Maven)

dev: $(READY_DEV) ## the same, with what `make check`, `make dist` and the hooks need

run: $(READY) ## run the main job (examples/main_job.py)
	@$(WITH_JAVA) $(PY) examples/main_job.py $(ARGS)

test: $(READY) $(JARS) $(CLASSES) $(BROWSER) ## run the tests that are not marked slow
	@$(WITH_JAVA) $(PY) -m pytest -m "not slow" $(ARGS)

test-all: $(READY) $(JARS) $(CLUSTER_JARS) $(CLASSES) $(BROWSER) ## run all tests
	@$(WITH_JAVA) $(PY) -m pytest $(ARGS)

test-cluster: $(READY) $(JARS) $(CLUSTER_JARS) $(CLASSES) ## run all tests on a standalone cluster, on HDFS and on S3
	@$(WITH_JAVA) $(PY) -m pytest tests/cluster $(ARGS)

# In an environment of its own below .venvs. V is Spark's version; PYTHON, JAVA_HOME and ARGS may be given too. With
# OLD_ENGINE=no it is a Spark without `pyspark.streaming`, and the tests that compare with that are left out.
WITHOUT = $(filter no,$(OLD_ENGINE))
test-spark: ## run the same tests as `make test` on another Spark: V=4.1 [PYTHON=python3.10] [JAVA_HOME=...] [OLD_ENGINE=no]
	$(if $(V),,$(error say which Spark, for example: make test-spark V=4.1))
	$(if $(filter 4.1%,$(V)),@test -d .jars/connector-4.1.1 || $(PYTHON) tools/fetch_jars.py connector-4.1.1)
	@version=$$($(PYTHON) -c 'import sys; print("py%d.%d" % sys.version_info[:2])') && $(MAKE) --no-print-directory test \
		VENV=.venvs/spark-$(V)-$$version$(if $(WITHOUT),-no-old-engine) \
		BOOTSTRAP_ARGS="$(BOOTSTRAP_ARGS) --spark $(V) $(if $(WITHOUT),--without-old-engine)"

coverage: $(READY) $(JARS) $(CLASSES) $(BROWSER) ## run the same tests as `make test`, and report which lines and branches they ran
	@rm -f .coverage .coverage.*
	@$(WITH_JAVA) $(PY) -m coverage run -m pytest -m "not slow" $(ARGS)
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report

# In the order of examples/README.md. Kafka's and MQTT's need a broker: tests/programs/test_examples.py has them.
EXAMPLES := main_job first_steps running_totals windows sessions own_receiver step_by_step
examples: $(READY) $(JARS) ## run the examples
	@$(WITH_JAVA) for name in $(EXAMPLES); do \
		echo "\$$ python examples/$$name.py"; $(PY) examples/$$name.py || exit 1; done
	@$(WITH_JAVA) $(PY) -m pytest -q examples \
		tests/programs/test_examples.py::test_kafka_wordcount tests/programs/test_examples.py::test_mqtt_receiver

docs: $(READY) ## write docs/compatibility.md from the code
	$(PY) tools/compatibility.py

# MkDocs' notice about its next version is not for those who build this site.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs
docs-site: $(READY_DOCS) ## build the documentation site into site/; a broken link fails
	@$(MKDOCS) build --strict $(ARGS)

docs-serve: $(READY_DOCS) ## serve the site on http://127.0.0.1:8000, built anew when a page changes
	@$(MKDOCS) serve --strict $(ARGS)

# How many programs to make up, for example: make parity N=200
N := 50
parity: $(READY) $(JARS) $(CLASSES) ## compare N made-up programs with the engine that PySpark ships (N=50)
	@$(WITH_JAVA) DSTREAMS_PARITY=$(N) $(PY) -m pytest -s -m "not slow" tests/parity/test_generated.py $(ARGS)

pictures: $(READY) $(BROWSER) ## take the pictures of Spark's Streaming page in docs/pictures (with Chromium)
	@$(WITH_JAVA) $(PY) tools/pictures.py

lint: $(READY_DEV) ## check style and formatting (ruff), and which module imports which (import-linter)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports

types: $(READY_DEV) ## check types: the package and the programs in tests/typing (mypy), the programs again (pyright)
	$(PY) -m mypy
	$(PY) -m pyright --pythonpath $(PY)

check: lint types docs-site ## lint, types, and the site with all its links

format: $(READY_DEV) ## format the code and apply ruff's safe fixes
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

bench: $(READY) $(JARS) ## run the benchmarks (benchmarks/run.py)
	@$(WITH_JAVA) $(PY) benchmarks/run.py $(ARGS)

bench-quick: $(READY) $(JARS) ## run the benchmarks on small inputs
	@$(WITH_JAVA) $(PY) benchmarks/run.py --quick $(ARGS)

bench-memory: $(READY) ## measure the memory of long runs and of 3 million keys of state
	@$(WITH_JAVA) $(PY) benchmarks/run.py --only memory memory-3m $(ARGS)

bench-scaling: $(READY) ## measure on one core, on two, and on a cluster of one and two workers
	@$(WITH_JAVA) PYTHONPATH=. $(PY) benchmarks/scaling.py $(ARGS)

bench-start: $(READY) $(CLASSES) ## measure what starting costs: contexts, programs, a test, a restart
	@$(WITH_JAVA) PYTHONPATH=. $(PY) benchmarks/start.py $(ARGS)

bench-sockets: $(READY) $(CLASSES) ## measure socket programs at batches of a second, and how many lines a second they take
	@$(WITH_JAVA) PYTHONPATH=. $(PY) benchmarks/sockets.py $(ARGS)

bench-page: $(READY) $(CLASSES) ## measure what Spark's Streaming page costs a batch
	@$(WITH_JAVA) PYTHONPATH=. $(PY) benchmarks/page.py $(ARGS)

# For example: make soak MINUTES=10
MINUTES := 45
soak: $(READY) $(JARS) ## run a program with state over Kafka on a cluster for MINUTES=45, and watch its memory
	@$(WITH_JAVA) PYTHONPATH=. $(PY) benchmarks/soak.py $(MINUTES)

soak-receiver: MINUTES := 5
soak-receiver: $(READY) ## let a receiver outrun its program for MINUTES=5, and watch its memory
	@$(WITH_JAVA) PYTHONPATH=. $(PY) benchmarks/outrun.py $(MINUTES)

dist: $(READY_DEV) ## build and check the wheel and the sdist, and dstreams.zip and run_dstreams.py for spark-submit
	rm -rf dist
	$(PY) -m build
	$(PY) -m twine check --strict dist/*
	cp dist/dstreams-*.whl dist/dstreams.zip
	cp src/run_dstreams.py dist/

clean: ## remove build outputs and caches (not .venv, .venvs, .jdk, .jars and .cache)
	rm -rf build dist site .coverage htmlcov .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -rf spark-warehouse metastore_db derby.log artifacts checkpoint
	find . -name __pycache__ -type d ! -path './.venv*' -prune -exec rm -rf {} +

$(JARS): tools/fetch_jars.py $(JAR_SETS:%=tools/jars/%.xml)
	@$(PYTHON) tools/fetch_jars.py $(JAR_SETS)
	@touch $@

$(CLUSTER_JARS): tools/fetch_jars.py $(CLUSTER_JAR_SETS:%=tools/jars/%.xml)
	@$(PYTHON) tools/fetch_jars.py $(CLUSTER_JAR_SETS)
	@touch $@

# Without it the tests run too; the one that needs it fails, and says what to install.
$(BROWSER): $(READY)
	@$(PYTHON) tools/bootstrap.py --browser $(BOOTSTRAP_ARGS) && touch $@ || true

# Without it tests are slower, and nothing else.
$(CLASSES): $(READY) src/dstreams/_run/warm_up_program.py
	@$(WITH_JAVA) $(PY) -m dstreams warm-up || true
	@touch $@

$(READY): pyproject.toml tools/bootstrap.py
	@$(PYTHON) tools/bootstrap.py --extra test $(BOOTSTRAP_ARGS)
	@touch $@

$(READY_DEV): pyproject.toml tools/bootstrap.py
	@$(PYTHON) tools/bootstrap.py --extra dev $(BOOTSTRAP_ARGS)
	@touch $(READY) $@

$(READY_DOCS): pyproject.toml tools/bootstrap.py
	@$(PYTHON) tools/bootstrap.py --extra docs $(BOOTSTRAP_ARGS)
	@touch $@
