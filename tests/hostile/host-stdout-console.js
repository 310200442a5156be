// tries: writing on standard output by the console; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  console.log('{"forged":true}\n{"forged":true}');
  console.error('{"forged":true}');
  log('{"forged":true}');
  return event;
}
