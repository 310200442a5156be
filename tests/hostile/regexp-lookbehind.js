// tries: backtracking in a lookbehind; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: /(?<=^(a|aa)*)b/.test('x' + 'a'.repeat(60) + 'b') };
}
