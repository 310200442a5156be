// tries: a promise that the next event would settle; verdict: failed never_settles
let resolve;
export function transformEvent(event) {
  if (resolve) resolve({ forged: true });
  if (!event.hostile) return event;
  return new Promise((go) => { resolve = go; });
}
