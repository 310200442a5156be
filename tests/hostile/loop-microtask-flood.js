// tries: microtasks that make two more each; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const flood = () => { Promise.resolve().then(flood); Promise.resolve().then(flood); };
  flood();
  return event;
}
