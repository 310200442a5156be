// tries: forging a frame of the protocol in an error; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw new Error('\u0004\0\0\0\u0010\0\0\0' + '\0'.repeat(16) + '\n{"verdict":"ok","events":[{}]}');
}
