.DEFAULT_GOAL := help
.PHONY: help setup secrets doctor restore rolling-update demo generate pictures test test-stack test-kubernetes chart contract lint fmt type bench sbom otel-collector monitoring-tools kubernetes-worker clean uninstall

# Passed on by demo, test and bench, for example: make demo ARGS="--for 60s"
ARGS ?=

# The one that scripts/setup found.
uv = $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## get uv, the Python environment and, as root, the Debian packages
	@scripts/setup

secrets: ## make the secrets of the Compose stack, and .env
	@scripts/secrets $(ARGS)

doctor: ## say what keeps the Compose stack from starting, or what is wrong with it
	@scripts/doctor

restore: ## bring a backup back into the Compose stack; ARGS="--help"
	@scripts/restore $(ARGS)

rolling-update: ## bring the bundled Prefect to the version in docker-compose.yml without downtime; ARGS="--help"
	@scripts/rolling-update $(ARGS)

demo: setup ## run a whole Prefect installation with metrics until Ctrl-C; ARGS="--for 60s"
	@PYTHONPATH=examples .venv/bin/python -m demo $(ARGS)

generate: setup ## write what is generated: rules of objectives and KPIs, Alertmanager's configuration, dashboards, what the chart copies
	@$(generators)

# Of each, what it is made from stands in its package below deploy/.
generators = set -e; for each in slo kpi alerting dashboards chart; do PYTHONPATH=deploy .venv/bin/python -m $$each $(check); done

pictures: setup monitoring-tools ## draw the dashboards with data of a demo into docs/images/
	@scripts/pictures

test: setup otel-collector monitoring-tools kubernetes-worker ## run all tests, two parts at a time; ARGS="-k ledger" or other pytest options: in one process
	@$(if $(ARGS),.venv/bin/pytest --quiet $(ARGS),result=0; $(side_by_side) || result=1; $(MAKE) --no-print-directory $(timed) || result=1; exit $$result)

# Most of what tests do is wait. A part's output comes at its end; the last part is all that is in no other.
# The longest go first.
side_by_side = $(MAKE) --jobs=2 --keep-going --output-sync --no-print-directory tests/instrumentation tests $(parts)
parts = tests/instrumentation tests/backup tests/e2e tests/etl tests/report tests/trigger tests/docs tests/helm tests/lateness tests/exactness tests/exporter
# How long a flow takes to end is what these are about, so they have the machine to themselves.
timed = tests/instrumentation/test_collector_faults.py
.PHONY: tests $(parts) $(timed)
$(parts): ; @.venv/bin/pytest --quiet --ignore=$(timed) $@
tests: ; @.venv/bin/pytest --quiet $(parts:%=--ignore=%)
$(timed): ; @.venv/bin/pytest --quiet $@

test-stack: setup ## start docker-compose.yml and look at all of it; ARGS="--lean"
	@scripts/test-stack $(ARGS)

test-kubernetes: setup kubernetes-worker ## install the Helm chart on a Kubernetes of its own and look at it; minutes more the first time
	@scripts/test-kubernetes $(ARGS)

chart: setup ## pack the Helm chart into dist/; ARGS="--without-dependencies"
	@PYTHONPATH=deploy .venv/bin/python -m chart.package $(ARGS)

contract: setup ## test the instrumentation with Prefect 3.4, 3.6, 3.8 and the newest; ARGS="3.4"
	@scripts/contract $(ARGS)

lint: check = --check
lint: setup ## check style, types, spelling, the lock, and that nothing generated is out of date
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/codespell
	$(uv) lock --check
	@$(generators)
	@PYTHONPATH=tests .venv/bin/python -m helm.findings

fmt: setup ## format the code and mend what can be mended
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

type: setup ## check the types alone
	.venv/bin/mypy

bench: setup ## measure the exporter against servers full of history, and what traces and log lines cost; ARGS="--help"
	@PYTHONPATH=deploy:examples:benchmarks .venv/bin/python -m bench $(ARGS)

sbom: setup ## write what our images are made of to dist/sbom/
	@scripts/sbom

otel-collector: setup ## build the OpenTelemetry Collector that tests run; minutes, once
	@scripts/otel-collector >/dev/null

monitoring-tools: setup ## get recent promtool, Prometheus and Alertmanager into .monitoring/
	@scripts/monitoring-tools >/dev/null

kubernetes-worker: setup ## get Prefect's Kubernetes worker into .contract/, which tests ask what a pod gets
	@UV_PROJECT_ENVIRONMENT=.contract/kubernetes UV_PYTHON_DOWNLOADS=never $(uv) sync --quiet --frozen --only-group kubernetes

clean: ## remove caches and build products
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache dist
	find . -path ./.venv -prune -o -path ./.uv -prune -o -path ./.contract -prune -o -name __pycache__ -exec rm -rf {} +

uninstall: clean ## remove all that setup put into this folder; Debian packages stay
	rm -rf .venv .uv .otelcol .contract .kubernetes .stand-ins .monitoring .pictures
