// event {"traits":{"a":1,"b":2},"id":"x"}
// passes id
// traits -> count

export const transformEvent = ({ id, traits }) => ({ id, count: Object.keys(traits).length });
