// tries: a regular expression that backtracks exponentially; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: /^(a+)+$/.test('a'.repeat(50) + 'b') };
}
