// tries: memory without end at the top level; verdict: load_error
const a = [];
for (;;) a.push({ a: [1, 2, 3] });
export const transformEvent = (event) => event;
