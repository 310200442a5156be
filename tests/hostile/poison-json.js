// tries: JSON.parse and JSON.stringify; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  JSON.parse = () => ({ poisoned: 1 });
  JSON.stringify = () => '{"poisoned":1}';
  return event;
}
