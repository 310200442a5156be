// tries: a rejection that is not handled, hoping that it hits the next event; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Promise.reject(new Error('late'));
  return event;
}
