# make lab     set up the environment and open JupyterLab on the notebooks
# make test    set up the environment and run every test, notebooks included
# Other targets: quick, size, notebooks, slides, weights, claims, page, oldest, clean. The rest of this file says what each one does.
#
# VENV says where the environment lives, PYTHON which interpreter makes it:
#   make lab PYTHON=python3.12 VENV=$HOME/envs/dfsbir LAB_ARGS="--no-browser --port 8890"

VENV ?= .venv
PYTHON ?= python3
LAB_ARGS ?=

PY = $(VENV)/bin/python
# pip has finished in $(VENV), for the pyproject.toml that is here now.
INSTALLED = $(VENV)/.installed

.PHONY: lab test quick size notebooks slides weights claims page oldest clean

# In a venv, Jupyter must prefer that venv's kernel to one that the user once installed for
# themselves: the notebooks need the kernel that has the package.
lab: $(INSTALLED)
	@$(PY) -c 'from dfsbir_lite.runtime import check_setup; check_setup()'
	JUPYTER_PREFER_ENV_PATH=1 $(PY) -m jupyterlab $(LAB_ARGS) notebooks

test: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -n 2 --dist loadgroup tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --nbval notebooks

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' || { \
		echo "dfsbir_lite needs Python 3.11.4 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "No virtual environment at $(VENV); on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@$(PY) -m pip install --editable '.[test]' || { \
		echo "pip could not install dfsbir_lite into $(VENV); its first error above says why."; exit 1; }
	@touch $@

# The unit tests that take seconds.
quick: $(INSTALLED)
	$(PY) -m pytest -n 2 -m "not slow" tests

# How large the house is, and how large it may be.
size: $(INSTALLED)
	$(PY) data_scripts/size.py

# Run every notebook and store its outputs in place.
notebooks: $(INSTALLED)
	$(PY) data_scripts/run_notebooks.py

# The class as slides in runs/; reveal.js comes from the net, or from runs/node_modules if it is there.
SHOW = --SlidesExporter.reveal_width=1360 --SlidesExporter.reveal_height=765 --output-dir runs
LOCAL = --SlidesExporter.reveal_url_prefix=node_modules/reveal.js \
	--SlidesExporter.require_js_url=node_modules/requirejs/require.js
slides: $(INSTALLED)
	$(PY) -m nbconvert --to slides $(SHOW) $(if $(wildcard runs/node_modules),$(LOCAL)) \
		notebooks/class_in_90_minutes.ipynb

# Train the shipped teachers, then the shipped students.
weights: $(INSTALLED)
	$(PY) data_scripts/train_teachers.py
	$(PY) data_scripts/train_students.py

# The tables that notebooks 06 and 07 show: a night on two cores. Resumes.
claims: $(INSTALLED)
	for name in claims regimes students; do \
		$(PY) -m dfsbir_lite bench $$name --out runs/tables || exit 1; \
		cp runs/tables/$$name-laptop-*/$$name.csv dfsbir_lite/zoo/laptop/ || exit 1; \
	done

# The fast tests with the lowest versions that pyproject.toml admits, in an environment that is made
# anew, and deleted if all is well: 6 GB.
OLDEST = $(VENV)-oldest
oldest:
	rm -rf $(OLDEST)
	python3.11 -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install 'uv>=0.5,<1'
	$(OLDEST)/bin/python -m uv pip install --python $(OLDEST)/bin/python \
		--resolution lowest-direct --no-cache --editable '.[check]'
	$(OLDEST)/bin/python -m pytest -m "not slow" tests
	rm -rf $(OLDEST)

# The page that README offers: ToyBox's photos, to search in a browser without Python.
page: $(INSTALLED)
	$(PY) -m dfsbir_lite export --per-class 20 --out runs/toybox --page notebooks/images/toybox.html

# Caches and build products; the environment and the shipped weights stay.
clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find dfsbir_lite data_scripts tests notebooks -name __pycache__ -prune -exec rm -rf {} +
	find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +
