// tries: an endless loop in the function; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (;;) {}
}
