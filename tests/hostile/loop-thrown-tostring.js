// tries: an endless loop in toString of what is thrown; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw { toString() { for (;;) {} } };
}
