// tries: RegExp.prototype.exec and Symbol.replace; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  RegExp.prototype.exec = () => null;
  RegExp.prototype[Symbol.replace] = () => 'poisoned';
  return event;
}
