// tries: Date.now and Date.prototype.toISOString; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Date.now = () => 0;
  Date.prototype.toISOString = () => 'poisoned';
  Date.prototype.toJSON = () => 'poisoned';
  return event;
}
