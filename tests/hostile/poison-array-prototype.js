// tries: Array.prototype by index and push; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Array.prototype[0] = { poisoned: 1 };
  Array.prototype.push = () => 0;
  return event;
}
