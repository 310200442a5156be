// event {"consents":["ads","email"],"email":"a@b.example","gclid":"g1"}
// passes email, gclid
// consents[] ~> email
// consents[] ~> gclid

export function transformEvent({ consents, email, gclid }) {
  const out = {};
  if (consents.includes('email')) out.email = email;
  if (consents.includes('ads')) out.gclid = gclid;
  return out;
}
