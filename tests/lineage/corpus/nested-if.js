// event {"type":"track","country":"DE","amount":120}
// event {"type":"track","country":"US","amount":10}
// passes amount
// country -> tax
// amount -> tax
// decides type

export function transformEvent(e) {
  if (e.type !== 'track') return null;
  let tax = 0;
  if (e.country === 'DE') {
    tax = e.amount * 0.19;
  } else if (e.country === 'FR') {
    tax = e.amount * 0.2;
  }
  return { amount: e.amount, tax };
}
