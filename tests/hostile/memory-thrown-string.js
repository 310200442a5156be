// tries: throwing a huge string; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw 'x'.repeat(1e7);
}
