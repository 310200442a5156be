// tries: a microtask queued by a getter of an error that an async function threw while the result is printed, which changes the next event; verdict: failed exception
let current;
const late = () => { Promise.resolve().then(() => null).then(() => { current.stolen = true; current.n = 'changed'; }); };
export function transformEvent(event) {
  current = event;
  if (!event.hostile) return event;
  return (async () => { throw { get message() { late(); return 'x'; }, toString() { late(); return 'x'; } }; })();
}
