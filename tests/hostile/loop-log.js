// tries: logging without end; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (;;) log('x');
}
