// tries: arrays as large as an array can be; verdict: failed exception|memory|timeout|crashed
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const all = [];
  for (;;) all.push(new Array(2 ** 25).fill(all));
}
