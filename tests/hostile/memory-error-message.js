// tries: an error with a message of megabytes; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw new Error('x'.repeat(1e7));
}
