// event {"traits":{"name":"Ada","username":"ada1","nick":"al"}}
// traits.name -> display
// traits.username -> display
// traits.nick -> display

export function transformEvent({ traits }) {
  return { display: traits.name ?? traits.username ?? traits.nick ?? 'anonymous' };
}
