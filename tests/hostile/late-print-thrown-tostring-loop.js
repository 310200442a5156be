// tries: a microtask queued by toString of what was thrown while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  throw { toString() { late(); return 'thrown'; } };
}
