// tries: an endless loop in toJSON of the event itself; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  event.toJSON = () => { for (;;) {} };
  return event;
}
