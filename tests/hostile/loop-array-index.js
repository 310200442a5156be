// tries: an endless loop in an index getter of the returned array; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const a = [];
  Object.defineProperty(a, 0, { get() { for (;;) {} } });
  return a;
}
