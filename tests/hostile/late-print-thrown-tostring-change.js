// tries: a microtask queued by toString of what was thrown while the result is printed, which changes the next event; verdict: failed exception
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  throw { toString() { late(); return 'thrown'; } };
}
