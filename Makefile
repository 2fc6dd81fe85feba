# The front door for hands: what to type. The work itself is in layer-build/ and in the test crates.
.DEFAULT_GOAL := help
.PHONY: help build test check counts counts-write fmt demo demo-hybrid sim mutants soak outages fuzz foreign bench layer layer-test deploy-test reproduce release dashboards size clean deny \
        deploy build-PrefreezeLayer build-AuthorizeFunction build-ReconcileFunction build-ForwarderFunction build-ReceiptFunction

TARGET := $(or $(CARGO_TARGET_DIR),target)
XTASK  := cargo run --quiet --package layer-build --
# A version of its own folder, so that a new pin installs itself.
DENY_VERSION := 0.20.2
DENY := $(TARGET)/tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
CARGO_MUTANTS_VERSION := 27.1.0
CARGO_MUTANTS := $(TARGET)/tools/cargo-mutants-$(CARGO_MUTANTS_VERSION)/bin/cargo-mutants

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-zA-Z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build everything for this machine
	cargo build --workspace

test: build ## Run every test; the black-box ones use the binaries just built
	cargo test --workspace --exclude simulation
	cargo test --profile sim -p simulation -- --nocapture

check: deny counts ## Hold the code to its law: format, lints, dependencies, documentation, instruction counts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

counts: ## Count the instructions of the hot paths, and compare them with the committed figures
	cargo run --quiet --profile counts --package counts -- check

counts-write: ## Set those figures anew
	cargo run --quiet --profile counts --package counts -- write

fmt: ## Format the code
	cargo fmt --all

demo: build ## Show the payment flow end to end, on this machine, without AWS
	$(TARGET)/debug/demo

demo-hybrid: build ## The same with telemetry through a queue, to a collector that is down for the first half
	$(TARGET)/debug/demo hybrid

sim: ## Replay a simulation: make sim SEED=7, or N=100000 seeds
	$(if $(SEED),SIM_SEED=$(SEED)) $(if $(N),SIM_RUNS=$(N)) cargo test --profile sim -p simulation -- --nocapture

# A sample is another one for each commit.
ORDER ?= $(shell git rev-parse HEAD)
mutants: $(CARGO_MUTANTS) ## Change policy in one place at a time; a test must notice: make mutants SAMPLE=60, F=pace.rs, LISTED=1
	cargo run --quiet --package mutants -- --tool $(CARGO_MUTANTS) --target $(TARGET)/mutants \
		$(if $(SAMPLE),--seconds $(SAMPLE) --order "$(ORDER)") $(if $(F),--only "$(F)") $(if $(LISTED),--listed)

soak: build ## Drive the real binary through N invocations with a flapping backend: make soak N=20000
	SOAK=$(or $(N),10000) cargo test -p tests --test reliability soak -- --nocapture

OUTAGE_SECONDS ?= 180
outages: build ## Make the backend ill for three minutes in every way, side by side: make outages OUTAGE_SECONDS=60
	OUTAGE_SECONDS=$(OUTAGE_SECONDS) cargo test -p tests --test reliability outages -- --nocapture

T ?= 60
# ONLY is (a part of) the name of a test in tests/fuzz, N a number of rounds instead of a time.
fuzz: ## Feed mutated bytes to every decoder for T seconds: make fuzz T=60, or ONLY=random_rules N=1000000
	$(if $(N),FUZZ_ROUNDS=$(N),FUZZ_SECONDS=$(T)) cargo test --profile sim -p fuzz -- --nocapture $(ONLY)
	$(if $(ONLY),,$(if $(N),FUZZ_ROUNDS=$(N),FUZZ_SECONDS=$(T)) cargo test -p tests --test settings --test spool -- --nocapture)

# Programs of others, by the name and version that Go's module proxy has them under: minutes, once for each pin.
FOREIGN := $(TARGET)/tools/foreign
RIE := github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie@v0.0.0-20261030222936-bef5c4ba774d
PROMETHEUS := github.com/prometheus/prometheus@v0.316.0
# 1.152 and later need Go 1.27.
VICTORIA_METRICS := github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics@v1.151.0
# 3.0.5
MIMIR := github.com/grafana/mimir@v1.3.1-0.20260423142704-aced80d74930
FOREIGN_PROGRAMS := $(addprefix $(FOREIGN)/,$(notdir $(RIE) $(PROMETHEUS) $(MIMIR) $(VICTORIA_METRICS)) collector.built go-function.built)
GO_BUILD := CGO_ENABLED=0 nice go build -trimpath -ldflags "-s -w" -o $(abspath $(FOREIGN))/bin/
foreign: build $(FOREIGN_PROGRAMS) ## Put Prefreeze into AWS's emulator, and before real stores and collectors (needs Go, Python and root)
	FOREIGN_TESTS=required cargo test --package tests --test foreign

$(FOREIGN)/aws-lambda-rie@%:
	GOBIN=$(abspath $(FOREIGN))/bin CGO_ENABLED=0 go install $(RIE)
	touch $@

# `go install` refuses modules that exclude or replace others. Without its service discovery, Prometheus is half the size.
$(FOREIGN)/prometheus@%:
	go mod download $(PROMETHEUS)
	cd "$$(go list -m -f '{{.Dir}}' $(PROMETHEUS))" && GOWORK=off $(GO_BUILD) -tags remove_all_sd ./cmd/prometheus
	touch $@

$(FOREIGN)/mimir@%:
	go mod download $(MIMIR)
	cd "$$(go list -m -f '{{.Dir}}' $(MIMIR))" && GOWORK=off $(GO_BUILD) -tags netgo,stringlabels ./cmd/mimir
	touch $@

$(FOREIGN)/victoria-metrics@%:
	GOBIN=$(abspath $(FOREIGN))/bin CGO_ENABLED=0 nice go install $(VICTORIA_METRICS)
	touch $@

# Our own few lines on the libraries of others, whose versions are in go.mod.
$(FOREIGN)/collector.built: $(wildcard tests/foreign/collector/*)
	cd tests/foreign/collector && $(GO_BUILD) .
	touch $@

$(FOREIGN)/go-function.built: $(wildcard tests/foreign/functions/go/*)
	cd tests/foreign/functions/go && $(GO_BUILD) .
	touch $@

# What is measured is what is shipped. Beside other work, and with the right to: AHEAD="chrt --fifo 50".
MACHINE := $(subst aarch64,arm64,$(shell uname -m))
bench: ## Measure the layer's binary against a static C baseline: make bench TABLES="start-warm ack" for some
	$(XTASK) layer --target $(MACHINE)
	cargo build --release --package bench
	$(AHEAD) cargo run --release --package bench -- $(TABLES)

# One architecture, x86_64 or arm64; both without it.
ARCH ?=
layer: ## Build the layers' zips, checksums, bills of materials and size reports: make layer ARCH=arm64 for one
	$(XTASK) layer $(if $(ARCH),--target $(ARCH))

layer-test: layer ## See both layers work: in an emulator, and in a root file system with nothing in it
	$(XTASK) emulator
	LAYER_TESTS=required cargo test --package tests --test layer

# The template has one architecture for all, and the same default.
SAM_ARCH := $(or $(ARCH),arm64)
DEPLOY_TOOLS := $(TARGET)/tools/deploy
deploy-test: build layer $(DEPLOY_TOOLS)/installed ## Check template.yaml and docs/deploy with the tools that people deploy with
	DEPLOY_TESTS=required cargo test --package tests --test deploy
	ARCH=$(SAM_ARCH) SAM_CLI_TELEMETRY=0 $(DEPLOY_TOOLS)/venv/bin/sam build --build-in-source \
		--build-dir $(TARGET)/sam/build --cache-dir $(TARGET)/sam/cache --parameter-overrides Architecture=$(SAM_ARCH)

reproduce: layer ## Build the layers a second time from nothing, and compare them byte by byte
	$(XTASK) reproduce $(if $(ARCH),--target $(ARCH))

size: ## Report the size of the layers built last
	$(XTASK) size $(if $(ARCH),--target $(ARCH))

release: layer ## Gather what a release publishes, and print the commands that would: nothing is published
	$(XTASK) release

dashboards: ## Write the CloudWatch and Grafana dashboards from their one description
	$(XTASK) dashboards

deploy: ## Deploy the payment flow with its layer to your AWS account (needs the sam command)
	ARCH=$(SAM_ARCH) sam build --build-in-source --parameter-overrides Architecture=$(SAM_ARCH)
	sam deploy --guided --capabilities CAPABILITY_IAM --parameter-overrides Architecture=$(SAM_ARCH)

clean: ## Remove everything that was built
	cargo clean

deny: $(DENY)
	$(DENY) check bans licenses sources

$(DENY):
	@echo "cargo-deny $(DENY_VERSION) is not here yet: installing it under $(TARGET)/tools (about a minute, once)"
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug cargo-deny --version $(DENY_VERSION) --root $(TARGET)/tools/cargo-deny-$(DENY_VERSION)

$(CARGO_MUTANTS):
	@echo "cargo-mutants $(CARGO_MUTANTS_VERSION) is not here yet: installing it under $(TARGET)/tools (about a minute, once)"
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug cargo-mutants --version $(CARGO_MUTANTS_VERSION) --root $(TARGET)/tools/cargo-mutants-$(CARGO_MUTANTS_VERSION)

# SAM and its linter from PyPI, the CDK and the Serverless Framework from npm: half a gigabyte, once for each pin.
$(DEPLOY_TOOLS)/installed: tests/deploy/requirements.txt tests/deploy/package-lock.json
	rm -rf $(DEPLOY_TOOLS) && mkdir -p $(DEPLOY_TOOLS)/npm
	python3 -m venv $(DEPLOY_TOOLS)/venv
	$(DEPLOY_TOOLS)/venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/deploy/requirements.txt
	cp tests/deploy/package.json tests/deploy/package-lock.json $(DEPLOY_TOOLS)/npm
	cd $(DEPLOY_TOOLS)/npm && npm ci --silent --ignore-scripts --no-audit --no-fund
	touch $@

# What `sam build` calls, by the logical ids of template.yaml.
build-PrefreezeLayer:
	$(XTASK) layer --target $(SAM_ARCH) --into "$(ARTIFACTS_DIR)"

build-AuthorizeFunction:
	$(XTASK) function authorize --target $(SAM_ARCH) --into "$(ARTIFACTS_DIR)"

build-ReconcileFunction:
	$(XTASK) function reconcile --target $(SAM_ARCH) --into "$(ARTIFACTS_DIR)"

build-ForwarderFunction:
	$(XTASK) function forwarder --target $(SAM_ARCH) --into "$(ARTIFACTS_DIR)"

build-ReceiptFunction: # awslambdaric is part of the managed runtime
	grep -v awslambdaric examples/payments/receipt/requirements.txt | python3 -m pip install --quiet --no-compile \
		--target "$(ARTIFACTS_DIR)" --requirement /dev/stdin --only-binary :all: \
		--python-version 3.13 --platform manylinux2014_$(SAM_ARCH:arm64=aarch64)
	cp examples/payments/receipt/receipt.py "$(ARTIFACTS_DIR)"
