// tries: a Map that grows while it is iterated; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const m = new Map([[0, 0]]);
  for (const [k] of m) { m.delete(k); m.set(k + 1, 0); }
}
