// tries: an endless loop in toJSON; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { a: { toJSON() { for (;;) {} } } };
}
