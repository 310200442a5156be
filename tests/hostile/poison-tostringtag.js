// tries: Symbol.toStringTag on Object.prototype; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.prototype[Symbol.toStringTag] = 'Poisoned';
  return event;
}
