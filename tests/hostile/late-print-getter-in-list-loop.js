// tries: a microtask queued by a getter of the last output while the result is printed, which never ends; verdict: failed timeout
let current;
const late = () => { Promise.resolve().then(() => { for (;;); }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return [event, { get a() { late(); return 1; } }];
}
