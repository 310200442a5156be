// tries: a suspended async generator that would go on later; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const g = (async function* () { for (let i = 0; i < 10; i++) yield i; throw new Error('late'); })();
  g.next();
  g.next();
  return event;
}
