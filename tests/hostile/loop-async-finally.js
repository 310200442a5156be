// tries: an endless loop in Promise.prototype.finally; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return Promise.reject(1).finally(() => { for (;;) {} });
}
