// tries: a microtask queued by a getter named then while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { get then() { late(); return undefined; }, a: 1 };
}
