// tries: Object.prototype.toJSON by defineProperty; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.defineProperty(Object.prototype, 'toJSON', { value: () => 'poisoned' });
  return event;
}
