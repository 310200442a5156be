// tries: parsing huge JSON; verdict: failed exception|memory|timeout|bad_return
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return JSON.parse('[' + '{"a":[1,2,3]},'.repeat(3e6) + '1]');
}
