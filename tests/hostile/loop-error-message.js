// tries: an endless loop in the message getter of an error; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const e = new Error('x');
  Object.defineProperty(e, 'message', { get() { for (;;) {} } });
  throw e;
}
