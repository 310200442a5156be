// event {"prices":[3,9,4]}
// prices[] -> max
// prices[] -> cheapest

export const transformEvent = ({ prices }) => ({
  max: Math.max(...prices),
  cheapest: [...prices].sort((a, b) => a - b)[0],
});
