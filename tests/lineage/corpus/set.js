// event {"tags":["a","b","a"],"more":["c"]}
// tags[] -> all[]
// more[] -> all[]

export function transformEvent({ tags, more }) {
  return { all: [...new Set([...tags, ...more])] };
}
