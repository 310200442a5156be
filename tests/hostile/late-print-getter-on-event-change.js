// tries: a microtask queued by a getter on the event while the result is printed, which changes the next event; verdict: ok
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  Object.defineProperty(event, 'a', { get() { late(); return 1; }, enumerable: true, configurable: true }); return event;
}
