// tries: a deep merge of an event that names the call of methods; verdict: ok or failed exception
// with: intrinsics

const merge = (to, from) => {
  for (const key in from) {
    if (typeof from[key] === 'object' && from[key] !== null && typeof to[key] !== 'undefined') merge(to[key], from[key]);
    else to[key] = from[key];
  }
  return to;
};
const attack = '{"toString":{"call":"x","apply":"x","name":"x"},"hasOwnProperty":{"call":"x"},"kind":{"trim":{"call":"x"}},'
  + '"list":{"slice":{"call":"x","bind":"x"},"constructor":{"prototype":{"slice":"x"}}},"more":1}';
export function transformEvent(event) {
  if (event.hostile) return merge({ kind: 'default', list: [1] }, JSON.parse(attack));
  check(event);
  return merge({}, event);
}
