// event {"n":5,"flag":true,"list":[1,2],"o":{"a":"x"}}
// n -> n (computed)
// flag -> flag (computed)
// list[] -> list
// o.a -> o

export const transformEvent = ({ n, flag, list, o }) => ({ n: String(n), flag: `${flag}`, list: list.join('-'), o: JSON.stringify(o) });
