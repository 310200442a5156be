// tries: many large strings; verdict: failed exception|memory|timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const all = [];
  for (let i = 0; ; i++) all.push(('é' + i).repeat(1e6).toUpperCase());
}
