// tries: telling a secret by throwing it; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  throw getCredential('apiKey');
}
