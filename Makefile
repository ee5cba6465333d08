# Each target works on a fresh clone: it makes the environments it needs inside this folder.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: repro test check claims fuzz chaos serve freeze clean

repro: .venv/.done ## train, measure and ship every run declared in params.yaml
	python -m gan_core check
	dvc repro
	@echo && python -m gan_core summary

test: .venv/.test .venv-triton/.done ## every test and every check
	@$(MAKE) --no-print-directory check
	OMP_WAIT_POLICY=PASSIVE pytest --numprocesses auto --dist loadgroup

check: .venv/.test ## style, types, import borders
	ruff format --check
	ruff check
	mypy
	lint-imports --no-logo

claims: .venv/.done ## measure what the papers claim; writes docs/claims.md
	python -m claims

fuzz: .venv/.test ## mutated images, containers and declarations: a right result or one sentence
	python -m tests.fuzz --trials $(or $(TRIALS),2000)

chaos: .venv/.test ## kills, torn states, full disks, two at once: are the final bytes the same?
	python -m tests.chaos --trials $(or $(TRIALS),20)
	python -m tests.faults --trials $(or $(TRIALS),16)

serve: .venv/.done .venv-triton/.done ## a real Triton server on everything in exported/
	python -m gan_core serve

.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[tensorrt-rtx]'
	touch $@

.venv/.test: .venv/.done
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[tensorrt-rtx,test]'
	touch $@

.venv-triton: .venv-triton/.done ## the server, apart: its Python needs numpy 1
.venv-triton/.done: constraints-triton.txt
	$(PYTHON) -m venv .venv-triton
	.venv-triton/bin/pip install --quiet --no-deps --requirement constraints-triton.txt
	touch $@

freeze: .venv/.test ## write constraints.txt from what is installed
	(echo '# The versions that were tested together. `make` installs from here; regenerate with `make freeze`.'; \
	 .venv/bin/pip freeze --exclude-editable | sed 's/+cpu//' | sort -f) > constraints.txt

clean: ## remove the environments (models and data stay)
	rm -rf .venv .venv-triton
