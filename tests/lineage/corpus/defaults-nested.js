// event {"a":{"b":{"c":"1"}},"list":["x"]}
// event {}
// a.b.c -> c
// list[] -> first

export const transformEvent = ({ a: { b: { c = 'none' } = {} } = {}, list: [first = 'nothing'] = [] }) => ({ c, first });
