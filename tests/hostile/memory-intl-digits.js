// tries: a number format with the most digits, of a huge BigInt; verdict: failed timeout|memory|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { s: (10n ** 2000000n).toLocaleString('de-DE') };
}
