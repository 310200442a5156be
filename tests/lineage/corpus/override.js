// event {"userId":"u","email":"a@b.example","role":"admin","extra":{"a":1}}
// passes userId, extra.a
// email -> email (computed)
// (constant) -> role

export function transformEvent(event) {
  const copy = { ...event, email: event.email.split('@')[1], role: 'user' };
  return copy;
}
