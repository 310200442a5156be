// tries: the prototype of Array.prototype; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.setPrototypeOf(Array.prototype, { poisoned: 1 });
  return event;
}
