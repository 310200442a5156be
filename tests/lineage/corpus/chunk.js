// event {"ids":["a","b","c","d"],"userId":"u"}
// userId -> user
// ids[] -> batch[]
// decides ids

export function transformEvent({ ids, userId }) {
  const out = [];
  for (let i = 0; i < ids.length; i += 2) out.push({ user: userId, batch: ids.slice(i, i + 2) });
  return out;
}
