// tries: throwing undefined; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw undefined;
}
