// tries: symbols without end; verdict: failed timeout|memory
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const all = [];
  for (;;) all.push(Symbol.for('s' + all.length));
}
