import * as hash from 'hash';

const known = new Set();
const limit = 5;
const vip = 9007199254740993;

export const spare = (event) => event;

export function transformEvent(metadata, event) {
  if (known.size > limit) limit = known.size;
  if (event.id === vip) event.symbol = new Symbol('vip');
  event.key = hash(event.id);
  event.round = Math(event.price);
  event.extra = JSON.parse("{'a': 1}");
  return event;
}
