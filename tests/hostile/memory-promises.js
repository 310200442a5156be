// tries: promises by the million; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const all = [];
  for (;;) all.push(new Promise(() => {}).then(() => 1));
}
