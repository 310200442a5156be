// tries: a floating chain that throws at its end; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  Promise.resolve().then(() => null).then(() => null).then(() => { throw new Error('late'); });
  return event;
}
