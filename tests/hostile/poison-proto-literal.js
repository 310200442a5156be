// tries: __proto__ of the prototypes; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.prototype.__proto__ = { poisoned: 1 };
  return event;
}
