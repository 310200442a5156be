// tries: throwing something whose every property throws; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw new Proxy({}, { get() { throw new Error('no'); }, getPrototypeOf() { throw new Error('no'); } });
}
