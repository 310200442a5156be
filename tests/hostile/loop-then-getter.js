// tries: an endless loop in a getter of then; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return Promise.resolve({ get then() { for (;;) {} } });
}
