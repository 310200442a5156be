// tries: changing an event that was seen before; verdict: ok
const seen = [];
export function transformEvent(event) {
  for (const old of seen) { old.poisoned = true; Object.defineProperty(old, 'n', { get: () => 'poisoned', configurable: true }); }
  seen.push(event);
  if (seen.length > 20) seen.shift();
  return event;
}
