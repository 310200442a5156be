// tries: normalising a huge string; verdict: failed exception|memory|timeout|output_too_large or ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { n: '\uFDFA'.repeat(2e7).normalize('NFKD').length };
}
