// tries: a microtask queued by getPrototypeOf of a thrown Proxy while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  throw new Proxy({}, { getPrototypeOf() { late(); return Error.prototype; }, get() { late(); return 'thrown'; } });
}
