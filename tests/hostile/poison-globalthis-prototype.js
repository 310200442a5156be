// tries: the prototype of the global object; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.setPrototypeOf(globalThis, new Proxy({}, { get: () => 'poisoned', has: () => true }));
  return event;
}
