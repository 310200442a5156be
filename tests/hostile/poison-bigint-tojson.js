// tries: BigInt.prototype.toJSON; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  BigInt.prototype.toJSON = () => 'poisoned';
  String.prototype.toJSON = () => 'poisoned';
  Number.prototype.toJSON = () => 'poisoned';
  Boolean.prototype.toJSON = () => 'poisoned';
  return event;
}
