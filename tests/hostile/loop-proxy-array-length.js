// tries: an array Proxy without end as the result; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return new Proxy([], { get: (t, k) => (k === 'length' ? 2 ** 32 - 1 : { i: 1 }), has: () => true });
}
