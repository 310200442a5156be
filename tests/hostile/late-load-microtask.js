// tries: a microtask that is queued at the end of loading; verdict: ok
let steps = 0;
const step = () => { if (steps++ < 1000) Promise.resolve().then(step); else globalThis.done = true; };
step();
export function transformEvent(event) {
  if (globalThis.done !== true) event.early = true;
  return event;
}
