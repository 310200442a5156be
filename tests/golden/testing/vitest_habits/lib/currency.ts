export type Money = { amount: number; currency: string };
const RATES: Record<string, number> = { EUR: 1, USD: 0.9, GBP: 1.2 };
export function toEuros({ amount, currency }: Money): number {
  const rate = RATES[currency];
  if (rate === undefined) throw new RangeError(`unknown currency ${currency}`);
  return Math.round(amount * rate * 100) / 100;
}
