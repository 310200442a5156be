// tries: indexOf over a huge sparse array; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const a = [];
  a.length = 2 ** 32 - 1;
  a[2 ** 31] = 1;
  for (;;) event.i = a.indexOf({});
}
