// tries: an event for metadata() whose messageId never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  metadata({ get messageId() { for (;;) {} } });
  for (;;) {}
}
