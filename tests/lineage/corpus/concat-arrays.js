// event {"a":{"x":1},"b":[{"x":2},{"x":3}]}
// a.x -> list[].x
// b[].x -> list[].x

export const transformEvent = (e) => ({ list: [e.a].concat(e.b) });
