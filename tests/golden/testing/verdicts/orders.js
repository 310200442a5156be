export function transformEvent(event) {
  log('seen', event.id);
  if (event.type === 'drop') return null;
  if (event.type === 'boom') return event.items[0].price;
  return { ...event, total: event.a + event.b };
}
