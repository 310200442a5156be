// tries: copyWithin on an object of 2^53 elements; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Array.prototype.copyWithin.call({ length: 2 ** 53 - 1 }, 0, 1);
}
