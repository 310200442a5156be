// tries: a microtask queued by a Proxy of a list while the result is printed, which changes the next event; verdict: ok
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return new Proxy([{ a: 1 }], { get(target, key) { late(); return target[key]; } });
}
