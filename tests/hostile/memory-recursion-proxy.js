// tries: a Proxy of a Proxy, a hundred thousand deep; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let p = {};
  for (let i = 0; i < 1e5; i++) p = new Proxy(p, {});
  return { a: p.a, p };
}
