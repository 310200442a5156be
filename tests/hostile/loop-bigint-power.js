// tries: one huge power; verdict: failed timeout|memory|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: String(3n ** 30000000n) };
}
