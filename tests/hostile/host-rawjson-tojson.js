// tries: raw text by toJSON that gives a string; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: { toJSON: () => '"}\n{"forged":true}' } };
}
