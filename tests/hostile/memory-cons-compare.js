// tries: comparing huge ropes; verdict: failed exception|memory|timeout|output_too_large
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let a = 'x', b = 'x';
  for (let i = 0; i < 28; i++) { a += a; b = b + b; }
  for (;;) { if ((a + 'y') === (b + 'z')) return event; }
}
