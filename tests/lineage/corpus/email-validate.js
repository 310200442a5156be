// event {"traits":{"email":"Ada.Lovelace@Example.com"}}
// event {"traits":{"email":"bob@other.example"}}
// traits.email -> email
// traits.email -> domain
// traits.email -> user

export function transformEvent({ traits }) {
  const email = traits.email?.trim().toLowerCase();
  if (!/^[^@\s]+@[^@\s]+\.[a-z]{2,}$/.test(email ?? '')) throw new Error('no email');
  const [user, domain] = email.split('@');
  return { email, domain, user: user.split('.').map((w) => w[0].toUpperCase() + w.slice(1)).join(' ') };
}
