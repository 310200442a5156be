// tries: changing a result after it was returned; verdict: ok
let last;
export async function transformEvent(event) {
  if (last) last.poisoned = true;
  last = event;
  const mine = event;
  if (event.hostile) Promise.resolve().then(() => Promise.resolve()).then(() => { last = mine; });
  return event;
}
