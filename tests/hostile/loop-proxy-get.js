// tries: an endless loop in a Proxy get trap; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return new Proxy({ a: 1 }, { get() { for (;;) {} } });
}
