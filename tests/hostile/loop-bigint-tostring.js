// tries: printing a huge BigInt; verdict: failed timeout|memory|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: (1n << 20000000n).toString() };
}
