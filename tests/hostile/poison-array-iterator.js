// tries: the iterators of arrays; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Array.prototype[Symbol.iterator] = function* () { yield 'poisoned'; };
  [][Symbol.iterator]().__proto__.next = () => ({ done: true });
  return event;
}
