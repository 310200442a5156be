// tries: an endless loop in then; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return Promise.resolve({ then() { for (;;) {} } });
}
