export function transformEvent(event) {
  if (event.type === 'drop') return null;
  return { ...event, name: event.name.toUpperCase() };
}
