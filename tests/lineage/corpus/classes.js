// event {"amount":"12.50","currency":"eur","customer":{"name":"Ada"}}
// amount -> money.cents
// currency -> money.currency
// customer.name -> greeting

class Money {
  #cents;
  constructor(text, currency) { this.#cents = Math.round(parseFloat(text) * 100); this.currency = currency.toUpperCase(); }
  get cents() { return this.#cents; }
  toJSON() { return { cents: this.cents, currency: this.currency }; }
}
export function transformEvent(event) {
  return { money: new Money(event.amount, event.currency), greeting: 'Hello '.concat(event.customer.name) };
}
