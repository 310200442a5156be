# The two commands of the README, and the commands that CI adds. Each prepares its own build: `scripts/v8` provides
# V8's library on a machine where cargo cannot fetch it, and prints nothing on other machines.

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

# The program for users. Its profile takes longer to compile.
build:
	@scripts/v8
	cargo build --release

# The archive, wheel, npm packages, .deb and their checksums, from the release build.
dist:
	@scripts/dist

# One profile for everything but releases, so that V8's bindings are compiled once.
test:
	@scripts/v8
	cargo test --profile quick

# Spark, SQL engines, queues and pipelines: tests the recipes of their pages with the
# real programs, which are fetched into a folder of their own (and, as root, from the
# distribution). Takes ten minutes; `.ci/run` contains the parts that are faster.
test-hosts:
	@scripts/v8
	cargo build --profile quick
	@tests/scripts/hosts.sh "$${CARGO_TARGET_DIR:-target}/quick/sluicegate"

# A part of `test`; the long runs with coverage are `fuzz/run`.
fuzz-smoke:
	@scripts/v8
	cargo test --profile quick --test cli fuzz::

# The JSON crate's tests in Miri, which finds undefined behaviour. Miri does not support AVX, so the scalar code runs.
miri:
	PROPTEST_CASES=3 MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test -p sluicegate-json

# Checks whether both library crates can be published: their manifests, and every file that they need.
package:
	cargo package -p sluicegate-json
	cargo package --no-verify -p sluicegate-json -p sluicegate-engine

lint:
	@scripts/v8
	cargo fmt --check
	cargo clippy --profile quick --workspace --all-targets -- -D warnings
	cd js && npm ci --silent && npm run --silent check
	RUSTDOCFLAGS='-D warnings' cargo doc --profile quick --no-deps
