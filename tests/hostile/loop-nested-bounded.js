// tries: an endless loop around an inlined bounded one, which V8 15 unrolls; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let x = 0;
  for (;;) for (let i = 0; i < 3; i++) x ^= i;
}
