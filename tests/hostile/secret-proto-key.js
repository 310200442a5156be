// tries: reading credentials by odd keys; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) if (getCredential(key) !== undefined) throw new Error(key);
  return event;
}
