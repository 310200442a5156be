// Measures `sluicegate test`: 1000 trivial cases, as data and in JavaScript, and the time from saving a file to the
// result with --watch.
//
//   node benches/suite.mjs [path to sluicegate]

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const binary = resolve(process.argv[2] ?? 'target/release/sluicegate');
const RUNS = 7;

const median = (times) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];
const show = (what, times) => {
  const [low, high] = [Math.min(...times), Math.max(...times)].map(Math.round);
  console.log(`${what.padEnd(32)} ${Math.round(median(times))} ms (${low} to ${high}, ${times.length} runs)`);
};

const project = (files) => {
  const dir = mkdtempSync(join(tmpdir(), 'sluicegate-suite-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
};

const CODE = 'export function transformEvent(event) { event.n += 1; return event; }\n';

const timed = (what, files) => {
  const dir = project(files);
  const times = [];
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    const { status, stdout } = spawnSync(binary, ['test'], { cwd: dir, encoding: 'utf8' });
    times.push(performance.now() - start);
    if (status !== 0 || !stdout.includes('1000 passed')) throw new Error(stdout);
  }
  show(what, times);
  rmSync(dir, { recursive: true });
};

const cases = { 't.js': CODE };
for (let n = 0; n < 1000; n++) {
  cases[`t.${n}.case.json`] = JSON.stringify({ event: { n }, expect: { events: [{ n: n + 1 }] } });
}
timed('1000 cases as data', cases);
timed('1000 tests in JavaScript', {
  't.js': CODE,
  't.test.js': 'for (let n = 0; n < 1000; n++) test(`n ${n}`, () => { expect(transform({ n })).toEmit({ n: n + 1 }); });\n',
});

const dir = project({ 't.js': CODE, 't.test.js': "test('n', () => { expect(transform({ n: 1 })).toEmit({ n: 2 }); });\n" });
const child = spawn(binary, ['test', '--watch'], { cwd: dir });
let told;
const result = () => new Promise((done) => { told = done; });
child.stdout.on('data', (text) => { if (/ in 1 file/.test(text)) told?.(performance.now()); });
let next = result();
await next;
const times = [];
for (let i = 0; i < RUNS; i++) {
  await new Promise((done) => setTimeout(done, 200));
  next = result();
  const start = performance.now();
  writeFileSync(join(dir, 't.js'), readFileSync(join(dir, 't.js'), 'utf8') + '// saved\n');
  times.push((await next) - start);
}
show('--watch, from save to result', times);
child.kill();
rmSync(dir, { recursive: true });
