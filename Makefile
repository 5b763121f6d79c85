# What one does here, each in one word; CONTRIBUTING.md says when.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
# One profile for demo, tests and benches, so that nothing is built twice.
TEST := cargo test --release
# Random scenes that `make soak` tries; a day of them is more than a release needs.
SEEDS ?= 5000
# What else it does: SIGKILLs over so many events in all, simulated lives of a directory, and for each fuzz target so many times the
# mutations of `make test`. Each is drawn from the seed.
SOAK_KILLS ?= 200
SOAK_EVENTS ?= 20000000
SOAK_CRASHES ?= 10000
SOAK_FUZZ ?= 200
SOAK_SEED ?= 1

.PHONY: help
help: ## this list
	@awk -F ': ## ' '/^[a-z]+: ## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## a broadcast before your eyes: simulated, counted, drawn
	@cargo run --release --package cli -- demo

.PHONY: check
check: ## format, lints, bans, documentation, licences: all that needs no test
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --release --workspace --no-deps --document-private-items --quiet
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; \
	else echo 'not run: cargo-deny: lacks cargo-deny (the licences are checked by a test, too)'; fi

.PHONY: test
test: ## all tests, those against a real Kafka and other readers included; what could not run is named
	@tests/prepare kafka readers
	@mkdir -p $(TARGET) && : > $(TARGET)/not-run.txt
	@JAUGE_TEST_NOT_RUN=$(abspath $(TARGET))/not-run.txt $(TEST) --workspace --no-fail-fast 2>&1 | tee $(TARGET)/test.log; \
	status=$$?; tests/summary $(TARGET)/test.log $(TARGET)/not-run.txt; exit $$status

.PHONY: bench
bench: ## events a second, memory and sizes, as docs/benchmarks.md tells them
	@benches/run

.PHONY: soak
soak: ## the long run, hours: kills, crashes, random scenes and fuzzing, with a record (SOAK_KILLS, SOAK_EVENTS, SOAK_SEED, …)
	@JAUGE_REQUIRE_ALL=1 tests/prepare kafka
	@echo 'soak: random scenes $(SEEDS), each replayed and held against the reference'
	@JAUGE_SEEDS=$(SEEDS) $(TEST) --workspace --tests -- replay::random_events replay::files_may_be_many
	@echo 'soak: $(SOAK_CRASHES) lives of a directory by seed, and every pair of deaths'
	@JAUGE_CRASH_SEEDS=$(SOAK_CRASHES) JAUGE_CRASH_FIRST=$(SOAK_SEED)000000 $(TEST) --workspace --tests -- crash_seeds
	@echo 'soak: every fuzz target, $(SOAK_FUZZ) times the mutations of make test, seed $(SOAK_SEED)'
	@JAUGE_FUZZ=$(SOAK_FUZZ) JAUGE_FUZZ_SEED=$(SOAK_SEED) $(TEST) --workspace --tests -- fuzz::
	@echo 'soak: $(SOAK_KILLS) kills over $(SOAK_EVENTS) events, seed $(SOAK_SEED)'
	@JAUGE_SOAK_RECORD=$(abspath $(TARGET))/soak.txt JAUGE_REQUIRE_ALL=1 \
	JAUGE_SOAK_EVENTS=$(SOAK_EVENTS) JAUGE_SOAK_KILLS=$(SOAK_KILLS) JAUGE_SOAK_SEED=$(SOAK_SEED) \
	$(TEST) --workspace --tests -- --exact run::kills::killed_at_random_moments --nocapture
	@echo 'soak: the record is in $(TARGET)/soak.txt'; tail -n 1 $(TARGET)/soak.txt
