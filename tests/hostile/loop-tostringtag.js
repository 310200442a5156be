// tries: an endless loop in Symbol.toStringTag of the result; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { get [Symbol.toStringTag]() { for (;;) {} } };
}
