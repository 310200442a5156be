// tries: an endless loop in a promise that is not awaited; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Promise.resolve().then(() => { for (;;) {} });
  return event;
}
