// Drops test orders, adds the total in one currency, and removes card numbers, which destinations must not get.
import { inEuro } from 'priceTools';

export function transformEvent(event, metadata) {
  if (event.type !== 'track') return event;
  const { properties = {} } = event;
  if (properties.status === 'test') return null;
  if (properties.total === undefined) throw new Error(`the order ${properties.order_id} has no total`);
  properties.total_eur = inEuro(properties.total, properties.currency);
  delete properties.card_number;
  event.context = { ...event.context, source: metadata(event).sourceName };
  return event;
}
