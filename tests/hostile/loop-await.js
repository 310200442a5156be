// tries: an endless loop of awaits; verdict: failed timeout
export async function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (;;) await null;
}
