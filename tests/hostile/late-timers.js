// tries: timers; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  setTimeout(() => { for (;;) {} }, 1);
  return event;
}
