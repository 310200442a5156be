// tries: a microtask queued by a Proxy of a list while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return new Proxy([{ a: 1 }], { get(target, key) { late(); return target[key]; } });
}
