// tries: stringify of a value that holds one string a million times; verdict: failed exception|memory|timeout|output_too_large
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  const s = 'x'.repeat(1000);
  return { all: new Array(1e6).fill(s) };
}
