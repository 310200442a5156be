// tries: an endless loop after an await; verdict: failed timeout
export async function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  await null;
  for (;;) {}
}
