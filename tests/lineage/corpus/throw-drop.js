// event {"type":"track","properties":{"email":"x@y.example"}}
// passes properties.email
// type -> kind
// decides properties.email

const required = (value) => { if (!value) throw new RangeError('missing'); return value; };
export function transformEvent(event) {
  try { return { kind: event.type, properties: { email: required(event.properties.email) } }; } catch { return null; }
}
