// tries: an iterator without end; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return [...{ [Symbol.iterator]: () => ({ next: () => ({ value: 1, done: false }) }) }];
}
