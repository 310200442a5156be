// tries: an expression that is slow to compile; verdict: ok or failed timeout|memory|exception|crashed
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: new RegExp('(?:a?'.repeat(2000) + ')'.repeat(2000) + '{1000}').test('b') };
}
