// tries: a string that doubles; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let s = 'x';
  for (;;) s += s;
}
