// tries: searching huge strings; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const s = 'a'.repeat(2e7);
  for (;;) event.i = (s + event.i).lastIndexOf('a'.repeat(1e5) + 'b');
}
