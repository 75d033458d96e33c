# The course's commands. `make` lists them. Works with GNU make 3.81 and later.

.DEFAULT_GOAL := help
.PHONY: help lab test bench bench-grading bench-lessons bench-gpu exercises notebooks clean environment test-environment

# A Python of your own choice: make lab PYTHON=/path/to/python3
PYTHON ?=
# Options for JupyterLab: make lab LAB_ARGS="--port 9999 --no-browser"
LAB_ARGS ?=
# Options of the measurement on a GPU: make bench-gpu BENCH_GPU_ARGS="--only lora"
BENCH_GPU_ARGS ?=

SEARCHED := python3 python3.13 python3.12 python3.11 python3.14 python

# Is .venv ready? Then nothing is to be done. Otherwise make_environment.py runs with the first Python that will do;
# where none will, with the first that runs at all, and says what is wrong with it.
make_environment = \
	if [ -n "$(PYTHON)" ]; then \
	    command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON): give another PYTHON, or none."; exit 1; }; \
	    exec "$(PYTHON)" make_environment.py --chosen $(1); \
	fi; \
	.venv/bin/python make_environment.py --ready $(1) >/dev/null 2>&1 && exit 0; \
	for check in --suitable --help; do for found in $(SEARCHED); do \
	    if $$found make_environment.py $$check >/dev/null 2>&1; then exec $$found make_environment.py $(1); fi; \
	done; done; \
	echo "No Python was found: install Python 3.11 or newer, from python.org for example, then run the same command again."; \
	exit 1

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

lab: environment ## open the course in JupyterLab; makes the environment the first time
	@.venv/bin/python -m clearformer.cli lab $(LAB_ARGS)

test: test-environment ## run everything: code, notebooks, browser
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m pytest -n 2 --dist loadfile tests -m "not browser"
	.venv/bin/python -m pytest -n 2 --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout=120 \
	    --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks solutions
	.venv/bin/python -m pytest -n 2 --dist loadgroup tests -m browser

bench: test-environment ## measure again what benchmarks/results/ holds
	.venv/bin/python benchmarks/check_speed.py --out benchmarks/results/check_speed.json
	.venv/bin/python benchmarks/training_step.py --out benchmarks/results/training_step.json
	.venv/bin/python benchmarks/generation_speed.py --out benchmarks/results/generation_speed.json
	.venv/bin/python benchmarks/decoding_speed.py --out benchmarks/results/decoding_speed.json
	.venv/bin/python benchmarks/killed_training.py --out benchmarks/results/killed_training.json
	.venv/bin/python benchmarks/checkpointing.py --out benchmarks/results/checkpointing.json
	.venv/bin/python benchmarks/lora.py --out benchmarks/results/lora.json
	.venv/bin/python benchmarks/attention_length.py --out benchmarks/results/attention_length.json
	.venv/bin/python benchmarks/draw.py

bench-lessons: test-environment ## train again what lessons 07, 09, 11 and 13 draw, many seeds; more than an hour
	.venv/bin/python benchmarks/norm_placement.py --out benchmarks/results/norm_placement.json
	.venv/bin/python benchmarks/fine_tuning.py --out benchmarks/results/fine_tuning.json
	.venv/bin/python benchmarks/prompting.py --out benchmarks/results/prompting.json
	.venv/bin/python benchmarks/scaling_runs.py --out benchmarks/results/scaling_runs.json

bench-grading: test-environment ## time the grading of a class, against nbgrader
	.venv/bin/python benchmarks/grading_speed.py --out benchmarks/results/grading_speed.json

bench-gpu: ## measure on a CUDA device, in 8 minutes; needs torch, numpy and safetensors only, makes no environment
	PYTHONPATH=reference$${PYTHONPATH:+:$$PYTHONPATH} $(or $(PYTHON),python3) benchmarks/gpu $(BENCH_GPU_ARGS)

exercises: test-environment ## make exercises/ from solutions/
	.venv/bin/python -m clearformer.authoring.handout solutions exercises

notebooks: test-environment ## run the notebooks again and tidy them
	.venv/bin/python -m clearformer.authoring.refresh notebooks solutions

clean: ## remove the environment and what the tools leave behind
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@$(call make_environment,)

test-environment:
	@$(call make_environment,--tests)
