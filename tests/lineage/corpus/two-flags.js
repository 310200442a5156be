// event {"consent":{"marketing":false,"email":false},"traits":{"email":"a@b.co"},"id":"1"}
// passes id
// traits.email -> email
// consent.marketing ~> email
// consent.email ~> email

export function transformEvent(e) {
  const out = { id: e.id };
  if (e.consent.marketing && e.consent.email) out.email = e.traits.email;
  return out;
}
