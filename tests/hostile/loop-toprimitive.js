// tries: Symbol.toPrimitive that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return `${{ [Symbol.toPrimitive]() { for (;;) {} } }}`;
}
