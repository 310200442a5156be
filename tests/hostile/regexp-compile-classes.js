// tries: an expression with thousands of large classes; verdict: failed timeout|memory|exception|crashed or ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: new RegExp('[\\p{L}\\p{N}\\u{10000}-\\u{10ffff}]'.repeat(3000), 'iu').test('b') };
}
