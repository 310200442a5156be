// Generates expected.jsonl from events.jsonl: the transformation's output, event by event, in order.
//
//   node make-expected.mjs
//
// It runs plain-loop.mjs, which would round integers beyond 2^53. They occur only in
// `warehouse_row_id`, which the transformation doesn't touch. So each is replaced with a string,
// "#9007199254740993", before the loop, and restored afterwards.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const events = readFileSync(here('events.jsonl'), 'utf8');
const { status, stdout, stderr } = spawnSync(process.execPath, [here('plain-loop.mjs')], {
  input: events.replace(/"warehouse_row_id":(\d{16,})/g, '"warehouse_row_id":"#$1"'),
  encoding: 'utf8',
  maxBuffer: 1 << 30,
});
if (status !== 0) throw new Error(stderr);

const expected = stdout.replace(/"warehouse_row_id":"#(\d+)"/g, '"warehouse_row_id":$1');
writeFileSync(here('expected.jsonl'), expected);

const counts = JSON.parse(stderr);
const lines = (text) => text.split('\n').length - 1;
if (counts.in !== lines(events)) throw new Error('not every row was read');
if (counts.in !== counts.ok + counts.dropped + counts.failed) throw new Error('rows were lost');
if (counts.out !== lines(expected)) throw new Error('not every output was written');
console.log(stderr.trim());
