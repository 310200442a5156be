// event {"properties":{"search":"?utm_source=news&utm_medium=mail&gclid=x1","path":"/p"}}
// passes properties.path
// properties.search -> properties.source
// properties.search -> properties.medium
// properties.search ~> properties.paid

export function transformEvent(event) {
  const params = new URLSearchParams(event.properties.search);
  const { search, ...rest } = event.properties;
  return { properties: { ...rest, source: params.get('utm_source'), medium: params.get('utm_medium') ?? 'none', paid: params.has('gclid') } };
}
