// tries: a thenable that never calls back; verdict: failed never_settles
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return Promise.resolve({ then() {} });
}
