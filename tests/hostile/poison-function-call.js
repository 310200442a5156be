// tries: Function.prototype.call, apply and bind; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Function.prototype.call = () => 'poisoned';
  Function.prototype.apply = () => 'poisoned';
  Function.prototype.bind = () => () => 'poisoned';
  return event;
}
