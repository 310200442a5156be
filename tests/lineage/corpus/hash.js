// event {"userId":"u-1","traits":{"email":"ada@example.com"}}
// passes userId
// traits.email -> traits.email_hash

const fnv = (text) => {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193);
  return (hash >>> 0).toString(16);
};

export function transformEvent(event) {
  const { email } = event.traits;
  event.traits = { email_hash: fnv(email) };
  return event;
}
