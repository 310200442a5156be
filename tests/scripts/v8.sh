#!/usr/bin/env bash
# Tests scripts/v8 with a small fake archive and a separate Cargo home. Prints the first check that fails.
set -euo pipefail

tests=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

fail() {
  printf 'tests/scripts/v8.sh: %s\n' "$1" >&2
  [[ ! -s $scratch/printed ]] || sed 's/^/  | /' "$scratch/printed" >&2
  exit 1
}

# A separate checkout, so that no files next to the real one are found.
mkdir -p "$scratch/checkout/scripts" "$scratch/from" "$scratch/bin"
cp "$tests/../../scripts/v8" "$scratch/checkout/scripts/"
cat >"$scratch/checkout/Cargo.lock" <<'END'
version = 4

[[package]]
name = "uuid"
version = "1.2.3"

[[package]]
name = "v8"
version = "9.8.7"
END
# Instead of the build, and instead of the network.
cat >"$scratch/checkout/scripts/v8-build" <<'END'
#!/bin/sh
echo "v8-build $*" >&2
END
cat >"$scratch/bin/curl" <<'END'
#!/bin/sh
exit "${PAGE:-6}"
END
chmod +x "$scratch/checkout/scripts/v8-build" "$scratch/bin/curl"

unset RUSTY_V8_ARCHIVE RUSTY_V8_MIRROR V8_FROM_SOURCE V8_FORCE_DEBUG
export CARGO_HOME=$scratch/home CARGO_BUILD_TARGET=x86_64-unknown-linux-gnu PATH=$scratch/bin:$PATH
name=librusty_v8_simdutf_release_x86_64-unknown-linux-gnu.a.gz
cached=https___github_com_denoland_rusty_v8_releases_download_v9_8_7_librusty_v8_simdutf_release_x86_64_unknown_linux_gnu_a_gz
cached=$CARGO_HOME/.rusty_v8/$cached

# Starts scripts/v8 and compares its exit code.
v8() {
  local want=$1 code=0
  shift
  (cd / && "$scratch/checkout/scripts/v8" "$@") >"$scratch/printed" 2>&1 || code=$?
  [[ $code = "$want" ]] || fail "scripts/v8 $*: exit code $code instead of $want"
}
silent() { [[ ! -s $scratch/printed ]] || fail "$1: something was printed"; }
prints() { grep -qF -e "$2" "$scratch/printed" || fail "$1: nothing was printed about $2"; }
cache_is_empty() { [[ -z $(ls -A "$CARGO_HOME/.rusty_v8" 2>/dev/null) ]] || fail "$1: something is in the cache"; }

v8 0 --print-path
prints "--print-path" "$cached"

# A wrong sum, and no sum: nothing is copied.
printf "a library\n" | gzip -c >"$scratch/from/$name"
right=$(cd "$scratch/from" && sha256sum "$name")
printf '%064d  %s\n' 0 "$name" >"$scratch/from/SHA256SUMS"
v8 1 --from "$scratch/from"
prints "a wrong sum" "$scratch/from/$name"
prints "a wrong sum" "expected $(printf '%064d' 0)"
prints "a wrong sum" "found    ${right%% *}"
cache_is_empty "a wrong sum"
printf '%s\n' "${right/$name/other.gz}" >"$scratch/from/SHA256SUMS"
v8 1 --from "$scratch/from"
prints "no line for the archive" "$name"
cache_is_empty "no line for the archive"
v8 1 --from "$scratch/nowhere"
prints "no such folder" "$scratch/nowhere"

# The archive of another version.
printf '%s\n' "$right" >"$scratch/from/SHA256SUMS"
include=$CARGO_HOME/registry/src/index/v8-9.8.7/v8/include
mkdir -p "$include"
printf '#define V8_%s\n' 'MAJOR_VERSION 9' 'MINOR_VERSION 8' 'BUILD_NUMBER 7777' 'PATCH_LEVEL 6' >"$include/v8-version.h"
v8 1 --from "$scratch/from"
prints "another version" "needs V8 9.8.7777.6"
cache_is_empty "another version"
rm -r "$CARGO_HOME/registry"

# The archive is copied once, and then there's nothing to do.
v8 0 --from "$scratch/from"
cmp -s "$scratch/from/$name" "$cached" || fail "--from: the cache doesn't hold the archive"
[[ $(ls -A "$CARGO_HOME/.rusty_v8") = "${cached##*/}" ]] || fail "--from: more than the archive is in the cache"
v8 0
silent "a second start"
rm "$cached"

# The folder next to the checkout.
mkdir "$scratch/shared"
cp -r "$scratch/from" "$scratch/shared/rusty_v8"
v8 0
cmp -s "$scratch/from/$name" "$cached" || fail "../shared: the cache doesn't hold the archive"
rm -r "$cached" "$scratch/shared"

# With the variables of the crate, or if the release page can be reached, there is nothing to do.
RUSTY_V8_ARCHIVE=/some.a v8 0
silent RUSTY_V8_ARCHIVE
RUSTY_V8_MIRROR=https://mirror.invalid v8 0
silent RUSTY_V8_MIRROR
PAGE=0 v8 0
silent "the release page answers"
cache_is_empty "the release page answers"

# Without any other source, the library is built.
v8 0
prints "the build" "v8-build --version 9.8.7 --target x86_64-unknown-linux-gnu --cache $cached"
v8 0 --until ninja:300
prints "the build" "--until ninja:300"

v8 1 --nonsense
prints "an unknown argument" --nonsense
