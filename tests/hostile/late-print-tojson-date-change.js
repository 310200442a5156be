// tries: a microtask queued by toJSON of a Date while the result is printed, which changes the next event; verdict: ok
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  const date = new Date(0); Object.defineProperty(date, 'toJSON', { value() { late(); return 'x'; } }); event.date = date; return event;
}
