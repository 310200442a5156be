// tries: Object.prototype.toJSON; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.prototype.toJSON = () => 'poisoned';
  return event;
}
