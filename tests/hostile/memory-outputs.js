// tries: a million outputs; verdict: failed output_too_large|memory|timeout or ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return new Array(1e6).fill({ x: 1 });
}
