// tries: closures that hold each other; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let f = () => 0;
  for (;;) { const g = f; const big = new Array(100); f = () => [g, big]; }
}
