// tries: a function as the result; verdict: failed bad_return
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return () => event;
}
