// tries: throwing null; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw null;
}
