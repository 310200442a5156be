// tries: an endless loop in Symbol.toPrimitive of what is thrown; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw { [Symbol.toPrimitive]() { for (;;) {} } };
}
