// tries: a cycle; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  event.self = event;
  return event;
}
