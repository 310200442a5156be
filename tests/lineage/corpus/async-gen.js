// event {"list":["a","b","c"],"suffix":"!"}
// list[] -> out[]
// suffix -> out[]

async function* shout(list, suffix) { for (const one of list) yield one.toUpperCase() + suffix; }
export async function transformEvent({ list, suffix }) {
  const out = [];
  for await (const word of shout(list, suffix)) out.push(word);
  return { out };
}
