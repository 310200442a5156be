// tries: Object.prototype.toString; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Object.prototype.toString = () => '[object Poisoned]';
  return event;
}
