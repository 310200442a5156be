// tries: Promise.prototype.then; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Promise.prototype.then = () => { throw new Error('poisoned'); };
  return event;
}
