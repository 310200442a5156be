// This example's transformation in a plain Node loop, for comparison and for making expected.jsonl:
//
//   node plain-loop.mjs [--show-failed] < events.jsonl > out.jsonl
//
// The loop is the one of the benchmarks. It rounds integers beyond 2^53, as JSON.parse does.
// sluicegate doesn't, so the two outputs differ in a few `warehouse_row_id`s.

import { fileURLToPath } from 'node:url';

process.argv.push(
  fileURLToPath(new URL('transform.js', import.meta.url)),
  fileURLToPath(new URL('../../js/lib', import.meta.url)),
);
await import('../../benches/compare/node-loop.mjs');
