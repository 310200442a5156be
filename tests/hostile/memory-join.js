// tries: joining many; verdict: failed exception|memory|timeout|output_too_large
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: new Array(2 ** 25).join('abcdefghijkl') };
}
