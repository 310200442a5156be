// tries: a deep merge of an event that names __proto__ and constructor.prototype; verdict: ok or failed exception
// with: intrinsics

const merge = (to, from) => {
  for (const key in from) {
    if (typeof from[key] === 'object' && from[key] !== null && typeof to[key] !== 'undefined') merge(to[key], from[key]);
    else to[key] = from[key];
  }
  return to;
};
const attack = '{"__proto__":{"toString":"x","hasOwnProperty":"x","valueOf":"x","constructor":{"prototype":{"toString":"x"}}},'
  + '"constructor":{"prototype":{"toString":"x","hasOwnProperty":1},"keys":"x","assign":1}}';
export function transformEvent(event) {
  if (event.hostile) return merge({ kind: 'default' }, JSON.parse(attack));
  check(event);
  return merge({}, event);
}
