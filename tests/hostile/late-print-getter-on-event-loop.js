// tries: a microtask queued by a getter on the event while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  Object.defineProperty(event, 'a', { get() { late(); return 1; }, enumerable: true, configurable: true }); return event;
}
