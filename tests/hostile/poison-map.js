// tries: Map.prototype; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Map.prototype.get = () => 'poisoned';
  Map.prototype.set = () => 'poisoned';
  Map.prototype.has = () => true;
  return event;
}
