# `make help` lists what can be made. Variables: FUZZ_SECONDS (for each target, 60), BENCH (what to
# measure, `all`).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test unit interop lint bench fuzz options

FUZZ_SECONDS ?= 60
BENCH ?= all

help: ## Lists what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Runs a TURN server on loopback with generated credentials
	cargo run --release -p wharfd

test: ## Runs all tests, those against real clients too; installs what these need
	interop/install.sh
	scripts/check-rings.sh
	cargo test --locked --workspace --no-fail-fast

unit: ## Runs the tests that need nothing installed
	cargo test --locked --workspace --exclude wharf-interop

interop: ## Runs only the tests against real clients
	interop/install.sh
	cargo build --locked -p wharfd
	cargo test --locked -p wharf-interop --no-fail-fast

lint: ## Checks format, lints, documentation, rings and file lengths
	cargo fmt --all --check
	scripts/check-rings.sh
	scripts/check-file-length.sh
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo check --locked --package wharf
	cargo check --locked --package wharf --no-default-features
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

bench: ## Measures BENCH: codec, core, relay, sockets, sip, or all but the last two
	command -v turnserver >/dev/null || interop/install.sh
	cargo build --release --locked -p wharfd -p wharf-bench
	[[ "$(BENCH)" != sip* ]] || cargo build --release --locked --manifest-path bench/rvoip/Cargo.toml \
		--target-dir bench/rvoip/target
	target/release/wharf-bench $(BENCH)

fuzz: ## Runs each fuzz target for FUZZ_SECONDS
	scripts/fuzz.sh $(FUZZ_SECONDS)

options: ## Writes the generated pages: docs/sockets-options.md and docs/sockets.schema.json
	WHARF_WRITE_DOCS=1 cargo test --locked -p wharf --test options_table
