// event {"traits":{"a":"1","b":"2","c":"3"}}
// passes traits.a, traits.b

const OK = ['a', 'b'];
export function transformEvent(event) {
  return { traits: Object.fromEntries(Object.entries(event.traits).filter(([k]) => OK.includes(k))) };
}
