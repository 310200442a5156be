// tries: a microtask queued by toJSON of a value while the result is printed, which changes the next event; verdict: ok
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  event.a = { toJSON() { late(); return 1; } }; return event;
}
