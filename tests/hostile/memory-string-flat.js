// tries: a doubled string, flattened each time; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let s = 'x';
  for (;;) { s += s; s.charCodeAt(s.length >> 1); /x/.test(s); }
}
