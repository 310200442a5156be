// tries: a BigInt that grows; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let x = 1n;
  for (;;) x <<= 1000000n;
}
