# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin

PYTHONS ?= 3.11 3.12 3.13

.PHONY: install demo test test-all pythons docs format lint types bench gpu starter clean

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("metafacs needs Python 3.11 or later, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "Installing metafacs and PyTorch into .venv (several GB, about two minutes) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[synth,faces,dlib,pretrained,serve,onnx,dev]"
	@touch $@

install: .venv/.installed

demo: install  ## render faces, train STL, MTL and MAL, print the table
	$(BIN)/metafacs demo --out demo

test: install  ## everything that is not marked slow
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not gpu"

test-all: install  ## the slow tests too (kills, full disks and damaged files at length), and those that need Ray
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[cluster]"
	$(BIN)/python -m pytest -n 2 --dist loadfile

docs: install  ## run the tutorials, build the site into site/; its search needs `python -m http.server -d site`
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python docs/site/tutorials.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

pythons:  ## a short trial of the wheel on each Python that is here, in an environment of its own (several GB each, removed again)
	rm -rf build/pythons
	set -e; for version in $(PYTHONS); do \
	  if ! python$$version --version; then echo "python$$version is not here: not tried"; continue; fi; \
	  python$$version -m venv build/pythons; \
	  build/pythons/bin/python -m pip install --quiet --disable-pip-version-check ".[faces]"; \
	  build/pythons/bin/python -m tests.smoke; \
	  rm -rf build/pythons; \
	done

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

bench: install  ## step time and memory of MTL, MAL and the usual implementations
	$(BIN)/python benchmarks/step_cost.py

starter: install  ## make the detector that ships again; FERPLUS=prepared dataset, REAL=real faces (studies/real_faces.py)
	$(BIN)/python studies/starter/make.py --ferplus $(FERPLUS) $(if $(REAL),--real $(REAL)) --out starter

gpu: install  ## a step's cost on a GPU, in at most 8 minutes; GPU="--small --device cpu" shows that it works
	$(BIN)/python benchmarks/gpu.py $(GPU)

clean:
	rm -rf .venv build site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
