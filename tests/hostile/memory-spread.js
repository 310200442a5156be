// tries: arguments by the million; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { n: Math.max(...new Array(5e7).fill(1)) };
}
