// Overloads a server, and checks that every event is answered once and correctly.
//
//   node overload.mjs PORT CONCURRENCY SECONDS CALM_RATE [EVENTS]
//
// First it sends requests as fast as possible on CONCURRENCY connections, to find the server's
// maximum rate. Then it sends requests at twice that rate for SECONDS, without waiting for answers.
// A request that is refused (503) or cut off is sent again after 1, 2, 4 ... at most 30 seconds, as
// rudder-server does. Before and right after that, requests at CALM_RATE measure the latency. The
// memory of this program is bounded: all requests have the same eight bodies, and an answer is
// compared with the first answer to that body, which was checked event by event. Prints one line of
// JSON for each step.

import { EVENTS, bodies, client, figures, paced } from './requests.mjs';

const [port, concurrency, seconds, calmRate] = process.argv.slice(2, 6).map(Number);
const workload = process.argv[6] ?? 'orders';
const all = bodies(workload, 1);
// One connection for each concurrent request, as in rudder-server.
const { send, end } = client(port);
const say = (step, what) => console.log(JSON.stringify({ step, ...what }));

/** A correct answer to each body: all of its rows were checked. */
const expected = [];
for (const body of all) {
  const { status, body: answer } = await send(body, true);
  const asked = JSON.parse(body);
  const rows = JSON.parse(answer);
  const jobs = new Set(rows.map((row) => row.metadata.jobId));
  const known = new Set(asked.map((one) => one.metadata.jobId));
  const right = ({ statusCode, output, metadata }) =>
    known.has(metadata.jobId) && (workload !== 'orders' || (statusCode === 200 && output.context.source === metadata.sourceName));
  const kept = workload === 'orders' ? asked.filter((one) => one.message.properties.status !== 'test').length : rows.length;
  if (status !== 200 || jobs.size !== rows.length || rows.length !== kept || !rows.every(right)) {
    console.error('the answer to a lone request is wrong');
    process.exit(1);
  }
  expected.push(answer);
}

const counts = { answered: 0, wrong: 0, refused: 0, cut_off: 0, other: 0, unpolite: 0 };
const ask = async (index) => {
  const body = all[index % all.length];
  for (let pause = 1; ; pause = Math.min(2 * pause, 30)) {
    try {
      const { status, headers, body: answer } = await send(body, true);
      if (status === 200) {
        counts.answered += 1;
        counts.wrong += answer.equals(expected[index % all.length]) ? 0 : 1;
        return;
      }
      if (status === 503) counts.refused += 1;
      else counts.other += 1;
      if (headers['x-rudder-should-retry'] !== 'true' || headers.apiversion !== '2') counts.unpolite += 1;
    } catch {
      counts.cut_off += 1;
    }
    await new Promise((done) => setTimeout(done, pause * 1000));
  }
};
const timed = (times) => async (index, since) => {
  await ask(index);
  times.push(performance.now() - since);
};
const calm = async (step) => {
  const times = [];
  await paced(Math.ceil(calmRate * 5), calmRate, timed(times));
  say(step, figures(times));
};

const asFast = async (requests) => {
  let next = 0;
  const started = performance.now();
  const lane = async () => {
    while (next < requests) await ask(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return (requests * 1000) / (performance.now() - started);
};
await asFast(100);
const bears = await asFast(300);
say('bears', { requests_per_second: bears, events_per_second: bears * EVENTS });
await calm('before');

Object.keys(counts).forEach((key) => (counts[key] = 0));
const times = [];
const offered = Math.ceil(2 * bears * seconds);
const started = performance.now();
let left;
await Promise.all([
  paced(offered, 2 * bears, timed(times)),
  new Promise((done) => setTimeout(done, seconds * 1000)).then(() => {
    // From now on no new requests are sent, only repeated ones.
    left = offered - counts.answered;
  }),
]);
say('overload', { offered, left, seconds: (performance.now() - started) / 1000, ...counts, ...figures(times) });
await calm('after');
end();
process.exit(counts.wrong || counts.other || counts.unpolite || counts.answered < offered ? 1 : 0);
