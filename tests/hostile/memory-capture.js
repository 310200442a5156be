// tries: Error.captureStackTrace by the million; verdict: failed timeout|memory|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const all = [];
  for (;;) { const o = {}; Error.captureStackTrace(o); all.push(o, o.stack); }
}
