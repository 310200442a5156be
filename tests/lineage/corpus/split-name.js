// event {"traits":{"name":"Ada Lovelace"}}
// traits.name -> traits.first
// traits.name -> traits.last

export function transformEvent({ traits }) {
  const [first, ...others] = traits.name.split(' ');
  return { traits: { first, last: others.join(' ') } };
}
