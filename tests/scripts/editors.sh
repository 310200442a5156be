#!/usr/bin/env bash
# A project from `init` passes the real tsc and ESLint from npm, which must find planted mistakes: JavaScript with
# TypeScript 7, TypeScript with TypeScript 6. The declarations also work with lib.dom and @types/node, and with tests
# that were written for Vitest and Jest.
#
#   tests/scripts/editors.sh [path to sluicegate]
set -euo pipefail
binary=$(realpath "${1:-target/quick/sluicegate}")
golden=$(realpath tests/golden/testing)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$binary" "$work/bin/sluicegate"
export PATH="$work/bin:$PATH"

must_fail() { # must_fail WHAT COMMAND...
  local what=$1; shift
  if "$@" > "$work/out" 2>&1; then echo "$what was not found" >&2; cat "$work/out" >&2; exit 1; fi
}

for language in js ts; do
  cd "$work"
  sluicegate init "$language" $([ $language = ts ] && echo --ts) > /dev/null
  cd "$language"
  sluicegate test --coverage > "$work/out" || { cat "$work/out"; exit 1; }
  sluicegate check > /dev/null
  npm install --silent > /dev/null
  npm run -s types
  npm run -s lint
  # The tools must find these mistakes.
  cp "lib/money.$language" "$work/kept"
  echo "export const wrong = round('text');" >> "lib/money.$language"
  must_fail 'a wrong argument of a library' npx tsc --noEmit
  cp "$work/kept" "lib/money.$language"
  echo "export const transformEvent = (event) => document.title;" > "src/page.$language"
  must_fail 'a global that is not there' npx tsc --noEmit
  [ $language = ts ] || must_fail 'a global that is not there' npx eslint .
  rm "src/page.$language"
  printf "import { round } from 'money';\nexport const text: string = round(1);\n" > src/use.ts
  must_fail "a library's type" npx tsc --noEmit
  rm src/use.ts
done

# With other declarations that a project may have. They declare the timers, which tests fake.
cd "$work/ts"
npm install --silent --no-save @types/node > /dev/null
sed -i 's/"lib": \["esnext"\]/"lib": ["esnext", "dom"]/; s/"types": \[\]/"types": ["node"]/' tsconfig.json
npx tsc --noEmit
for project in vitest vitest_habits jest_habits; do
  cp -r "$golden/$project" "$work/$project"
  cd "$work/$project"
  sluicegate types > sluicegate.d.ts
  cp "$work/ts/tsconfig.json" .
  sed -i 's/"verbatimModuleSyntax": true/"verbatimModuleSyntax": false/; s/"isolatedModules": true/"isolatedModules": false/' tsconfig.json
  ln -s "$work/ts/node_modules" node_modules
  npx tsc --noEmit
done
echo "editors: two projects are green under tsc and ESLint, and red where they should be"
