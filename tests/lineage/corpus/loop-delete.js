// event {"props":{"a_internal":1,"b":2,"c_internal":"x"}}
// passes props.b

export function transformEvent(e) {
  for (const k of Object.keys(e.props)) if (k.endsWith('_internal')) delete e.props[k];
  return e;
}
