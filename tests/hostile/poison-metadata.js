// tries: metadata; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  metadata.call = () => 'poisoned';
  metadata(event).sourceId = 'poisoned';
  return event;
}
