// tries: Intl formatting without end; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (;;) new Date().toLocaleString('de-DE', { timeZone: 'Europe/Berlin' });
}
