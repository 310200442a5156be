// tries: telling a secret by the name of a function in the stack; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const name = getCredential('apiKey');
  const o = { [name]() { throw new Error('x'); } };
  o[name]();
}
