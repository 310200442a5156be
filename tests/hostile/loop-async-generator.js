// tries: an async generator without end; verdict: failed timeout
export async function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  async function* g() { for (;;) yield 1; }
  for await (const x of g()) event.x = x;
}
