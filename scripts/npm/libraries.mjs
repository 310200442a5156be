// See scripts/npm-libraries.

import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import exercises, { typescript } from './exercises.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { sluicegate: { type: 'string' }, keep: { type: 'string' } },
});
const program = resolve(values.sluicegate ?? join(root, 'target/release/sluicegate'));
const folder = resolve(values.keep ?? mkdtempSync(join(tmpdir(), 'npm-libraries-')));
const names = positionals.length > 0 ? positionals : [...Object.keys(exercises), 'typescript'];
const require = createRequire(join(folder, 'package.json'));

/** The package of a specifier such as `fp-ts/Option`. */
const packageOf = (name) => name === 'typescript' ? 'typescript@5' : name.split('/').slice(0, name.startsWith('@') ? 2 : 1).join('/');

const install = () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const wanted = ['esbuild', ...new Set(names.map(packageOf))];
  if (wanted.every((name) => existsSync(join(folder, 'node_modules', name.replace(/(.)@.*/, '$1'))))) return;
  const flags = ['--silent', '--no-audit', '--no-fund', '--ignore-scripts', '--legacy-peer-deps'];
  execFileSync('npm', ['install', ...flags, ...wanted], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
};

/** Bundles a library and its exercise into one module. */
const bundle = (name, at) => {
  if (name === 'typescript') {
    const { transpileModule, ScriptTarget, ModuleKind } = require('typescript');
    const compilerOptions = { target: ScriptTarget.ES5, module: ModuleKind.ES2015, downlevelIteration: true };
    writeFileSync(join(folder, 'es5.js'), transpileModule(typescript, { compilerOptions }).outputText);
  }
  const source = `import * as space from ${JSON.stringify(name === 'typescript' ? './es5.js' : name)};
    const people = ${JSON.stringify([{ n: 'Ada', age: 36, tags: ['x', 'y'] }, { n: 'Bob', age: 17, tags: ['y'] }, { n: 'Cy', age: 36, tags: [] }])};
    const text = 'Zażółć gęślą jaźń – The quick brown fox, 12.5%';
    const exercise = ${exercises[name] ?? '(space) => space.exercise()'};
    export async function transformEvent() {
      const got = await exercise(space.default ?? space, space);
      return { got };
    }`;
  const entry = join(folder, `entry-${at}.js`);
  const out = join(folder, `bundle-${at}.mjs`);
  writeFileSync(entry, source);
  const flags = ['--bundle', '--format=esm', '--platform=browser', '--define:process.env.NODE_ENV="production"', '--log-level=error'];
  execFileSync(join(folder, 'node_modules/.bin/esbuild'), [entry, ...flags, `--outfile=${out}`], { stdio: 'pipe' });
  return out;
};

const inNode = async (file) => {
  const { transformEvent } = await import(pathToFileURL(file).href);
  return JSON.stringify(await transformEvent());
};

const inEngine = (file) => {
  const done = spawnSync(program, ['run', file, '-j1', '--quiet', '--emit', 'verdicts'], { input: '{}\n', encoding: 'utf8' });
  if (done.stdout === '') return `does not load: ${done.stderr.trim().split('\n')[0]}`;
  const verdict = JSON.parse(done.stdout);
  return verdict.verdict === 'ok' ? JSON.stringify(verdict.events[0]) : `${verdict.kind}: ${verdict.stack ?? verdict.message}`;
};

install();
let same = 0;
const differs = [];
for (const [at, name] of names.entries()) {
  let wanted;
  let got;
  try {
    const file = bundle(name, at);
    wanted = await inNode(file);
    got = inEngine(file);
  } catch (error) {
    wanted = `Node: ${error.stderr ?? error.stack}`;
  }
  if (wanted === got) same += 1;
  else differs.push(`── ${name}\n   Node:   ${String(wanted).slice(0, 600)}\n   engine: ${String(got).slice(0, 600)}`);
}
if (values.keep === undefined) rmSync(folder, { recursive: true });
for (const one of differs) console.log(one);
console.log(`${same} of ${names.length} libraries give what they give in Node ${process.versions.node}`);
process.exitCode = differs.length > 0 ? 1 : 0;
