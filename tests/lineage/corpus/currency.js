// event {"amount":10,"currency":"USD","rates":{"USD":0.9,"GBP":1.2}}
// event {"amount":20,"currency":"GBP","rates":{"USD":0.9,"GBP":1.2}}
// amount -> eur
// rates.USD -> eur
// rates.GBP -> eur
// currency ~> eur

export function transformEvent({ amount, currency, rates }) {
  const rate = rates[currency];
  return { eur: rate === undefined ? amount : Math.round(amount * rate * 100) / 100 };
}
