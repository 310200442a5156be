// tries: BigInt arithmetic that takes long; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let x = 3n;
  for (;;) x = x * x;
}
