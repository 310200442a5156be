// tries: a getter on Object.prototype; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.defineProperty(Object.prototype, 'hostile', { get: () => true, set() {}, configurable: true });
  return event;
}
