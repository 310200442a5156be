// tries: a microtask queued by Symbol.toStringTag while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return { get [Symbol.toStringTag]() { late(); return 'Object'; }, a: 1 };
}
