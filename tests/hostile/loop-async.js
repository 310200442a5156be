// tries: an endless loop in an async function; verdict: failed timeout
export async function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (;;) {}
}
