// tries: an iterator without end in for-of; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (const x of { [Symbol.iterator]: () => ({ next: () => ({ value: 1, done: false }) }) }) event.x = x;
}
