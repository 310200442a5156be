// tries: a default argument that never returns; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  ((a = (() => { for (;;) {} })()) => a)();
}
