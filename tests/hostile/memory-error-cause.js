// tries: an error whose causes nest for ever; verdict: failed exception|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let e = new Error('0');
  for (let i = 0; i < 100000; i++) e = new Error('x', { cause: e });
  throw e;
}
