// tries: telling a secret by the name of an error; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const e = new Error('x');
  e.name = getCredential('apiKey');
  throw e;
}
