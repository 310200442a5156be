// tries: the same with the flags u and i; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: /^(\w+\s?)*$/iu.test('word '.repeat(20) + '!') };
}
