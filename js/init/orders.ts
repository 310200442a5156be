import { round } from 'money';

export const transformEvent: TransformEvent = (event, metadata) => {
  if (event.type !== 'track') return null;
  const { price = 0, count = 1, ...properties } = event.properties ?? {};
  return {
    ...event,
    properties: { ...properties, price, count, total: round(price * count), source: metadata(event).sourceName },
  };
};
