export class TaxService {
  private readonly rate: number;
  constructor(rate = 0.2) {
    this.rate = rate;
  }
  apply(n: number) {
    return n * (1 + this.rate);
  }
  async remote(id: string): Promise<{ id: string }> {
    return { id };
  }
  get current() {
    return this.rate;
  }
  static make() {
    return new TaxService();
  }
}
export const service = new TaxService();
export const Kind = { A: 'a', B: 'b' } as const;
export function transformEvent(event: any) {
  console.log('seen', event.id);
  if (event.bad) throw new Error('bad ' + event.id);
  return { ...event, total: service.apply(event.amount), kind: Kind.A };
}
