// event {"traits":{"phone":"+49 (30) 901-820","country":"DE"}}
// traits.phone -> phone
// traits.phone -> prefix
// traits.country -> phone_id
// traits.phone -> phone_id

export function transformEvent({ traits }) {
  const phone = traits.phone.replaceAll(/[^\d+]/g, '');
  const m = /^\+(\d{2})(\d+)$/.exec(phone);
  return { phone, prefix: m ? m[1] : null, phone_id: `${traits.country}:${phone}` };
}
