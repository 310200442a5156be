// tries: an endless loop in a Proxy ownKeys trap; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return new Proxy({}, { ownKeys() { for (;;) {} } });
}
