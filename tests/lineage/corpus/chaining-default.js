// event {"context":{"campaign":{"source":"news","medium":"mail"}},"properties":{"url":"https://x.example/?a=1"}}
// event {"context":{},"properties":{"url":"https://x.example/?a=2"}}
// context.campaign.source -> utm.source
// context.campaign.medium -> utm.medium
// context.campaign.source ~> paid
// properties.url -> host
// properties.url -> query

export function transformEvent({ context, properties }) {
  const { source = 'direct', medium = '(none)' } = context?.campaign ?? {};
  const url = properties?.url ?? '';
  return {
    utm: { source, medium }, paid: source === 'ads',
    host: /^https?:\/\/([^/]+)/.exec(url)?.[1] ?? null, query: url.split('?')[1] ?? '',
  };
}
