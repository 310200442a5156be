// Sends requests of 200 events to a server on loopback and says how long each took.
//
//   node drive.mjs PORT REQUESTS CONCURRENCY RATE SEED [EVENTS]
//
// RATE 0: the next request follows the answer before it, on CONCURRENCY connections. Otherwise
// requests leave at that rate per second, each on a connection that is free, and time counts from the
// moment when one was due. Sixteen requests go ahead, so that what is measured is not the start of
// this program. The answer is one line of JSON.

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
