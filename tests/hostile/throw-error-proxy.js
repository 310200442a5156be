// tries: throwing an Error behind a Proxy that throws; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw new Proxy(new Error('x'), { get() { throw new Error('no'); } });
}
