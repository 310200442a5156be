# The two commands of the README, and what CI adds to them. Each sets up what it needs: `scripts/v8` brings V8's library
# to a machine where cargo cannot fetch it, and says nothing where it can.

.PHONY: demo test test-hosts build lint bench fuzz-smoke dist reverse-etl reverse-etl-postgres miri package

demo:
	@scripts/v8
	cargo build --profile quick
	@scripts/demo

# A warehouse built by dbt, synced to stand-ins of Customer.io and Salesforce. dbt comes from PyPI.
reverse-etl:
	@scripts/v8
	cargo build --profile quick
	@examples/reverse-etl/run duckdb

reverse-etl-postgres:
	@scripts/v8
	cargo build --profile quick
	@examples/reverse-etl/run postgres

# What users run, from the profile that takes longer to compile.
build:
	@scripts/v8
	cargo build --release

# Archive, wheel, npm packages, .deb and their sums, of the release build.
dist:
	@scripts/dist

# One profile for all but that, so that V8's bindings are compiled once.
test:
	@scripts/v8
	cargo test --profile quick

# Spark, SQL engines, queues and pipelines: the recipes of their pages against the real things, which are fetched into a folder
# of their own (and, as root, from the distribution). Ten minutes; `.ci/run` has the parts that take less.
test-hosts:
	@scripts/v8
	cargo build --profile quick
	@tests/scripts/hosts.sh "$${CARGO_TARGET_DIR:-target}/quick/sluicegate"

# A part of `test`; the long runs with coverage are `fuzz/run`.
fuzz-smoke:
	@scripts/v8
	cargo test --profile quick --test cli fuzz::

# The JSON crate's tests in Miri, which finds undefined behaviour; it knows no AVX, so the scalar form runs.
miri:
	PROPTEST_CASES=3 MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test -p sluicegate-json

# Whether both library crates can be published: their manifests, and every file that they need.
package:
	cargo package -p sluicegate-json
	cargo package --no-verify -p sluicegate-json -p sluicegate-engine

lint:
	@scripts/v8
	cargo fmt --check
	cargo clippy --profile quick --workspace --all-targets -- -D warnings
	cd js && npm ci --silent && npm run --silent check
	RUSTDOCFLAGS='-D warnings' cargo doc --profile quick --no-deps
