// tries: an endless loop in a getter of the result; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { get a() { for (;;) {} } };
}
