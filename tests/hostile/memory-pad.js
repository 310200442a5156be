// tries: padEnd; verdict: failed exception|memory|timeout|output_too_large
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: 'a'.padEnd(2 ** 29 - 30, 'bc') };
}
