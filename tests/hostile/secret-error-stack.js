// tries: telling a secret by the stack of an error; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const e = new Error('x');
  e.stack = 'Error\n    at ' + getCredential('apiKey') + ' (x.js:1:1)';
  throw e;
}
