// tries: reading the metadata of another event; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  if (metadata({ messageId: 'another' }).messageId !== undefined) throw new Error('reached');
  return event;
}
