// tries: forging a frame of the protocol in strings; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  event.hostile = true;
  log('\u0004\0\0\0\u0010\0\0\0' + '\0'.repeat(16));
  console.warn('\u0002\0\0\0\u0002\0\0\0{}');
  return event;
}
