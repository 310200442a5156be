import { toEuros, type Money } from 'currency';

export interface Item { sku: string; price: number; quantity: number }
export interface Order {
  type: 'track';
  event: string;
  messageId: string;
  properties: { items: Item[]; currency?: string; coupon?: string | null };
  context?: { traits?: { email?: string } };
}

export function total(items: Item[]): number {
  return items.reduce((sum, item) => sum + item.price * item.quantity, 0);
}

export const hooks = {
  now: () => Date.now(),
  audit(message: string): void {
    log(message);
  },
};

export async function transformEvent(event: Order, metadata: (event: Order) => { sourceId?: string }) {
  if (event.event !== 'Order Completed') return null;
  if (!Array.isArray(event.properties?.items)) throw new TypeError(`no items in ${event.messageId}`);
  const sum: Money = { amount: total(event.properties.items), currency: event.properties.currency ?? 'EUR' };
  hooks.audit(`order of ${sum.amount}`);
  const email = event.context?.traits?.email?.toLowerCase();
  return {
    ...event,
    properties: { ...event.properties, total: toEuros(sum), seen: new Date(hooks.now()).toISOString(), ...(email && { email }) },
    source: metadata(event).sourceId ?? 'unknown',
  };
}
