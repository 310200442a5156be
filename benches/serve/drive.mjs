// Sends requests of 200 events to a server on loopback and prints their latencies.
//
//   node drive.mjs PORT REQUESTS CONCURRENCY RATE SEED [EVENTS]
//
// With RATE 0, each of CONCURRENCY connections sends the next request after the previous answer.
// Otherwise requests are sent at that rate per second, each on a free connection, and latencies count
// from the time at which a request was due. Sixteen requests are sent first and not measured, so that
// the start of this program does not count. The result is one line of JSON.

import { EVENTS, bodies, client, figures, paced } from './requests.mjs';

const [port, requests, concurrency, rate, seed] = process.argv.slice(2, 7).map(Number);
const all = bodies(process.argv[7] ?? 'orders', seed);
const { send, end } = client(port);

const times = [];
let bad = 0;
const timed = async (index, since) => {
  try {
    const { status } = await send(all[index % all.length]);
    if (status !== 200) bad += 1;
  } catch {
    bad += 1;
  }
  times.push(performance.now() - since);
};

const AHEAD = 16;
for (let index = 0; index < AHEAD; index++) await timed(index, performance.now());
times.length = 0;
const started = performance.now();
if (rate === 0) {
  let next = 0;
  const lane = async () => {
    while (next < requests) await timed(next++, performance.now());
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
} else {
  await paced(requests, rate, timed);
}
const seconds = (performance.now() - started) / 1000;
console.log(
  JSON.stringify({
    sent: AHEAD + requests,
    bad,
    seconds,
    events_per_second: (requests * EVENTS) / seconds,
    ...figures(times),
    bytes: all[0].length,
  }),
);
end();
