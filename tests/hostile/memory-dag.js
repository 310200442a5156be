// tries: a value that is small, and huge when printed; verdict: failed exception|memory|timeout|output_too_large
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let o = { x: 'x' };
  for (let i = 0; i < 40; i++) o = [o, o];
  return { o };
}
