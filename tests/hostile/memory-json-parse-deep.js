// tries: parsing JSON a million deep; verdict: failed exception|memory|timeout|bad_return
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return JSON.parse('['.repeat(4e6) + ']'.repeat(4e6));
}
