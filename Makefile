# Two commands do everything on a fresh machine: `make run` and `make test`.
# What is missing is built into .tools (git ignores it), or named precisely.

NATS_VERSION := v2.15.2
NATS_BUILT   := $(CURDIR)/.tools/bin/nats-server

# The server the tests and `make run` use: the one you name, else the one on the PATH, else the one built here.
export LICTOR_NATS_SERVER ?= $(or $(shell command -v nats-server 2>/dev/null),$(NATS_BUILT))

# The programs of the control plane that the tests run: those in the folder you name, else those built here, which are
# kept as long as what they are built from stays the same.
KUBERNETES_VERSION  := v1.37.2
CONTROL_PLANE_KEY   := $(shell cat tests/control-plane/go.mod tests/control-plane/go.sum | sha256sum | cut -c1-16)
CONTROL_PLANE_BUILT := $(CURDIR)/.tools/control-plane/$(CONTROL_PLANE_KEY)
export KUBEBUILDER_ASSETS ?= $(CONTROL_PLANE_BUILT)

# Checks dependencies; unoptimised, which builds in half the time and runs as long as it takes to read a line.
DENY_VERSION := 0.20.2
DENY         := $(CURDIR)/.tools/bin/cargo-deny

CARGO := cargo

.DEFAULT_GOAL := build
.PHONY: help build run quick test chaos lint deny size docs bench-pipeline bench-admission fuzz golden clean cargo

# The executable, and beside it a file with what backtraces and debuggers need to name functions and lines.
PROGRAM := target/release/lictor

build: cargo ## target/release/lictor (what `make` does)
	$(CARGO) build --release --locked
	@if command -v objcopy >/dev/null && ! readelf -S $(PROGRAM) | grep -q gnu_debuglink; then \
	  objcopy --only-keep-debug $(PROGRAM) $(PROGRAM).debug && \
	  objcopy --strip-all --add-gnu-debuglink=$(PROGRAM).debug $(PROGRAM) $(PROGRAM).new && \
	  mv $(PROGRAM).new $(PROGRAM); \
	fi

run: build $(LICTOR_NATS_SERVER) ## the demo: a shop under attack, as a live table; Ctrl-C ends it
	target/release/lictor up --demo

# What decides, apart from everything that talks to something: no servers, no clock.
PURE := lictor-wire lictor-normalize lictor-engine lictor-detection lictor-policies

quick: cargo ## tests of the pure crates, without servers: under a minute once they are built
	$(CARGO) test --locked $(addprefix -p ,$(PURE))

test: cargo $(LICTOR_NATS_SERVER) $(KUBEBUILDER_ASSETS) ## every test, real servers included
	$(CARGO) test --workspace --locked

CHAOS_SECONDS ?= 900

chaos: cargo $(LICTOR_NATS_SERVER) ## kills, pauses, rotations, poison and forgery for a while, from another seed each time
	seed=$${CHAOS_SEED:-$$(date +%s)}; echo "CHAOS_SEED=$$seed"; \
	LICTOR_CHAOS_SECONDS=$(CHAOS_SECONDS) LICTOR_CHAOS_SEED=$$seed \
	  $(CARGO) test --locked -p lictor --test system -- chaos --nocapture

lint: cargo ## formatting and clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# It reads the manifests of all dependencies, those of other systems too, which a build does not download. A path to
# each offender would take for ever in this graph: `cargo tree -i CRATE` shows who brings one along.
deny: cargo $(DENY) ## licences, banned crates, duplicate versions, sources: .cargo/deny.toml
	$(CARGO) fetch --locked --quiet
	$(DENY) --offline --locked check --hide-inclusion-graph -D unmatched-skip -D unnecessary-skip licenses bans sources

# What people download and every node pulls; before symbols were kept apart it was 214 MB. A dependency that needs more
# than is left states its bytes first.
PROGRAM_BYTES := 30000000

size: build ## the executable stays small
	@bytes=$$(wc -c < $(PROGRAM)); echo "$(PROGRAM): $$bytes bytes, at most $(PROGRAM_BYTES)"; \
	test $$bytes -le $(PROGRAM_BYTES)

docs: cargo ## the API documentation
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

bench-pipeline: build $(LICTOR_NATS_SERVER) ## what judging costs beside plain consuming, in one run
	$(CARGO) bench --locked -p lictor --bench pipeline

bench-admission: build $(LICTOR_NATS_SERVER) $(KUBEBUILDER_ASSETS) ## what a judged review costs beside one that is always allowed
	$(CARGO) bench --locked -p lictor --bench admission

# Coverage for libFuzzer by the compiler's own passes, so the stable toolchain does.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks
FUZZ_SECONDS ?= 60
FUZZ_HOST    := $(shell $(CARGO) -vV 2>/dev/null | sed -n 's/^host: //p')
FUZZ_TARGETS := policy-json policy-yaml audit tetragon manifest

fuzz: cargo ## looks for bytes from outside that break something, FUZZ_SECONDS for each format (60); needs a C++ compiler
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --profile fuzz --locked -p lictor-fuzz --features libfuzzer \
	  --target $(FUZZ_HOST) --target-dir target/fuzz
	@for name in $(FUZZ_TARGETS); do \
	  mkdir -p target/fuzz/corpus/$$name target/fuzz/found; \
	  seeds=; if [ -d tests/fuzz/seeds/$$name ]; then seeds=tests/fuzz/seeds/$$name; fi; \
	  echo "== $$name"; target/fuzz/$(FUZZ_HOST)/fuzz/fuzz-$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	    -print_final_stats=0 -verbosity=0 -artifact_prefix=target/fuzz/found/ target/fuzz/corpus/$$name $$seeds || exit 1; \
	done

golden: build $(LICTOR_NATS_SERVER) ## writes the golden file of the demo and the drawing in README anew; review the difference
	LICTOR_WRITE_GOLDEN=1 $(CARGO) test --locked -p lictor --test system -- demo the_readme_draws_the_crates

cargo:
	@command -v $(CARGO) >/dev/null || { \
	  echo "cargo is missing: install Rust 1.95 or newer (rustup, see rust-lang.org) and run make again" >&2; exit 1; }

$(DENY):
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --debug --root $(CURDIR)/.tools

$(NATS_BUILT):
	@command -v go >/dev/null || { \
	  echo "nats-server is missing. Do one of these and run make again:" >&2; \
	  echo "  - install nats-server 2.12 or newer so that it is on the PATH" >&2; \
	  echo "  - set LICTOR_NATS_SERVER to the path of one" >&2; \
	  echo "  - install Go 1.25 or newer; make then builds nats-server $(NATS_VERSION) itself" >&2; exit 1; }
	GOBIN=$(dir $(NATS_BUILT)) go install github.com/nats-io/nats-server/v2@$(NATS_VERSION)

$(CONTROL_PLANE_BUILT):
	@command -v go >/dev/null || { \
	  echo "the programs of a Kubernetes control plane are missing. Do one of these and run make again:" >&2; \
	  echo "  - set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl" >&2; \
	  echo "  - install Go 1.26 or newer; make then builds Kubernetes $(KUBERNETES_VERSION) itself" >&2; exit 1; }
	@echo "building etcd, kube-apiserver, kube-controller-manager and kubectl $(KUBERNETES_VERSION), once: six minutes on two cores"
	@rm -rf $@.part && mkdir -p $@.part
	cd tests/control-plane && CGO_ENABLED=0 go build -trimpath -o $@.part/ \
	  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION)" tool
	@mv $@.part/server $@.part/etcd && mv $@.part $@

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 18

clean: ## removes what was built, .tools too
	$(CARGO) clean
	rm -rf .tools
