// tries: the iterator of strings, and split; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  String.prototype[Symbol.iterator] = function* () {};
  String.prototype.slice = () => 'poisoned';
  String.prototype.toString = () => 'poisoned';
  return event;
}
