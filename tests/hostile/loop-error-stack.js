// tries: an endless loop in the stack getter of an error; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const e = new Error('x');
  Object.defineProperty(e, 'stack', { get() { for (;;) {} } });
  throw e;
}
