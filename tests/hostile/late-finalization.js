// tries: FinalizationRegistry; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  new FinalizationRegistry(() => { throw new Error('late'); }).register({});
  return event;
}
