// tries: an endless loop in a Proxy getPrototypeOf trap of what is thrown; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw new Proxy({}, { getPrototypeOf() { for (;;) {} } });
}
