# The two commands of the README, and what CI adds to them. Each sets up what it needs: `scripts/v8` brings V8's library
# to a machine where cargo cannot fetch it, and says nothing where it can.

.PHONY: demo test build lint bench fuzz-smoke dist

demo:
	@scripts/v8
	cargo build --profile quick
	@scripts/demo

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

# A part of `test`; the long runs with coverage are `fuzz/run`.
fuzz-smoke:
	@scripts/v8
	cargo test --profile quick --test cli fuzz::

lint:
	@scripts/v8
	cargo fmt --check
	cargo clippy --profile quick --workspace --all-targets -- -D warnings
	cd js && npm ci --silent && npm run --silent check
	RUSTDOCFLAGS='-D warnings' cargo doc --profile quick --no-deps
