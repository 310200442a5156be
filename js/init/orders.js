import { round } from 'money';

/** @type {TransformEvent} */
export const transformEvent = (event, metadata) => {
  if (event.type !== 'track') return null;
  const { price = 0, count = 1, ...properties } = event.properties ?? {};
  return {
    ...event,
    properties: { ...properties, price, count, total: round(price * count), source: metadata(event).sourceName },
  };
};
