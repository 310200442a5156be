// tries: labelled loops that continue each other; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  outer: for (;;) { for (;;) continue outer; }
}
