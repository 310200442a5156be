// tries: a thenable that resolves with another one, for ever; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const t = { then(resolve) { resolve({ then: t.then }); } };
  return Promise.resolve(t);
}
