// event {"attrs":[{"key":"color","value":"red"},{"key":"size","value":"L"}]}
// attrs[].value -> attributes.color
// attrs[].value -> attributes.size
// attrs[].key ~> attributes.color
// attrs[].key ~> attributes.size

export function transformEvent({ attrs }) {
  return { attributes: attrs.reduce((o, a) => ({ ...o, [a.key]: a.value }), {}) };
}
