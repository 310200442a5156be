// tries: toJSON that nests for ever; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const o = { toJSON() { return { o }; } };
  return { o };
}
