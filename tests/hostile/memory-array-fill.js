// tries: fill of a large array; verdict: failed exception|memory|timeout|output_too_large
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { n: new Array(3e7).fill(1.5) };
}
