// tries: segmenting a huge text; verdict: failed timeout|memory|exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { n: [...new Intl.Segmenter('th', { granularity: 'word' }).segment('ก'.repeat(5e6))].length };
}
