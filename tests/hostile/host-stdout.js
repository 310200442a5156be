// tries: writing on standard output by every name; verdict: failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  print('{"forged":true}');
}
