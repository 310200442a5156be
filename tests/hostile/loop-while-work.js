// tries: an endless loop that does work; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let i = 0;
  while (true) i = (i * 31 + 7) | 0;
  return event;
}
