// tries: Symbol.dispose that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  { using x = { [Symbol.dispose]() { for (;;) {} } }; }
  return event;
}
