// tries: Temporal arithmetic without end; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (;;) Temporal.Now.plainDateISO().add({ days: 1 });
}
