export function transformEvent(event, metadata) {
  if (event.type !== 'track') return null;
  return { ...event, total: event.price * event.count, source: metadata(event).sourceId };
}
