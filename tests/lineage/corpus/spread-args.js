// event {"nums":[3,9,4],"base":{"x":1,"y":2},"patch":{"y":5}}
// nums[] -> max
// passes base.x
// patch.y -> base.y
// base.y -> base.y

export function transformEvent({ nums, base, patch }) {
  return { max: Math.max(...nums), base: Object.assign({}, base, patch) };
}
