// tries: String.prototype.repeat; verdict: failed exception|memory|timeout|output_too_large
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: 'abc'.repeat(2 ** 27) };
}
