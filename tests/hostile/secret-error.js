// tries: telling a secret by an error; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw new Error('key=' + getCredential('apiKey'));
}
