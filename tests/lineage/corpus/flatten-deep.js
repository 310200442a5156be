// event {"traits":{"a":{"b":{"c":"1"}},"d":"2"}}
// traits.a.b.c -> traits.a_b_c
// passes traits.d

const flat = (o, prefix = '') => Object.entries(o).reduce((out, [k, v]) => (
  v && typeof v === 'object' && !Array.isArray(v) ? { ...out, ...flat(v, `${prefix}${k}_`) } : { ...out, [prefix + k]: v }), {});
export function transformEvent(event) { return { traits: flat(event.traits) }; }
