# make run    environment, then a dry run of this machine with the built-in configuration
# make test   unit and integration tests
# make check  lint, format, strict types, the helper's Python 3.6, tests with layering
# make lab    tests on booted Debian hosts (root)
# make bench  speed beside Ansible, pyinfra and bare Fabric on 47 lab hosts (root)
# make clean  removes what the targets above made, the lab's bases excepted

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed
BENCH := .lab/bench
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test check lab bench clean

run: $(RUN)
	$(BIN)/maintenancebot dry-run

test: $(DEV)
	$(BIN)/python -m pytest

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vermin --target=3.6- --violations --no-tips maintenancebot/helper
	$(BIN)/python -m pytest tests/unit tests/integration tests/test_architecture.py

lab: $(DEV)
	@[ "$$(id -u)" = 0 ] || { echo "make lab boots Debian hosts and needs root: run it as root" >&2; exit 1; }
	tests/lab/install.sh
	$(BIN)/python -m pytest -m lab tests/lab tests/acceptance

bench: $(DEV)
	@[ "$$(id -u)" = 0 ] || { echo "make bench boots Debian hosts and needs root: run it as root" >&2; exit 1; }
	tests/lab/install.sh
	$(BIN)/python -m venv $(BENCH)/peers
	$(BENCH)/peers/bin/python -m pip --disable-pip-version-check --quiet install ansible-core pyinfra
	$(BIN)/python -m tests.lab up --hosts 47 --dir $(BENCH)/fleet
	trap '$(BIN)/python -m tests.lab down --dir $(BENCH)/fleet' EXIT; \
		$(BIN)/python -m bench.compare --lab $(BENCH)/fleet --peers $(BENCH)/peers --targets 200 1000 --work $(BENCH)/work; \
		$(BIN)/python -m bench.upgrade --lab $(BENCH)/fleet --peers $(BENCH)/peers --work $(BENCH)/work

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find maintenancebot tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make the second call quick; the editable install follows every change of the source by itself.
$(RUN): pyproject.toml | $(BIN)/python
	@echo "installing maintenancebot into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo "installing maintenancebot and its checks into $(VENV)"
	@$(PIP) install --editable '.[dev]'
	@touch $(RUN) $@

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			"$$python" -m venv $(VENV) && exit 0; \
			rm -rf $(VENV); \
			echo "$$python cannot make an environment; on Debian: apt install python3-venv" >&2; \
			exit 1; \
		fi; \
	done; \
	echo "Python 3.11 or newer is needed; install it, or name it: make PYTHON=/path/to/python3.11 run" >&2; \
	exit 1
