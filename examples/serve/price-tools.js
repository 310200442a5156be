// A library: imported by the handle of its name, see the README beside it.
const RATES = { EUR: 1, USD: 0.92, GBP: 1.17 };

export function inEuro(amount, currency = 'EUR') {
  const rate = RATES[currency];
  if (rate === undefined) throw new RangeError(`no rate is known for ${currency}`);
  return Math.round(amount * rate * 100) / 100;
}
