// tries: a promise that never settles; verdict: failed never_settles
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return new Promise(() => {});
}
