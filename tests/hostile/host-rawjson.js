// tries: forging a second line with JSON.rawJSON; verdict: failed exception or ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: JSON.rawJSON('1\n{"forged":true}') };
}
