// event {"event":"Purchase","properties":{"amount":"19.99","coupon":"SPRING","items":3}}
// passes event
// properties.amount -> properties.amount_cents
// properties.coupon -> properties.discount_code
// properties.items ~> properties.has_many

const rename = (from, to, fn = (x) => x) => (o) => { const { [from]: v, ...rest } = o; return v === undefined ? rest : { ...rest, [to]: fn(v) }; };
const steps = [rename('amount', 'amount_cents', (v) => Math.round(Number(v) * 100)), rename('coupon', 'discount_code'), rename('items', 'has_many', (n) => n > 1)];
export function transformEvent(event) {
  return { ...event, properties: steps.reduce((o, step) => step(o), event.properties) };
}
