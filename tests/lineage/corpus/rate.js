// event {"properties":{"clicks":30,"views":120}}
// properties.clicks -> rate
// properties.views -> rate

export function transformEvent({ properties: { clicks, views } }) {
  return { rate: clicks / (views || 1) };
}
