// tries: throwing a symbol; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw Symbol('x');
}
