import { slugify, Slug } from 'text';

export interface Order { id: string; total: number; currency?: string }

export function transformEvent(event: any, metadata: any) {
  if (event.type !== 'track') return null;
  const order: Order = event.properties;
  if (order.total < 0) throw new RangeError(`negative total: ${order.total}`);
  const slug: Slug = slugify(event.event);
  log('order', order.id);
  return { ...event, properties: { ...order, currency: order.currency ?? 'EUR', slug, at: new Date().toISOString() } };
}
