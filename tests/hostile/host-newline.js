// tries: forging a second line with line ends in strings and keys; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { ...event, 'a\nb': 'x\n{"forged":true}\r\n\u2028\u2029' };
}
