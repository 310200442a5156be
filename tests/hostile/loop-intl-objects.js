// tries: making Intl objects without end; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const all = [];
  for (;;) all.push(new Intl.DateTimeFormat('de'));
}
