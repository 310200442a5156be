// tries: nested counted quantifiers; verdict: failed timeout|memory|exception|crashed or ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: /((((a{1,100}){1,100}){1,100}){1,100}){1,100}b/.test('a'.repeat(200)) };
}
