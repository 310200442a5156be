// event {"userId":"u-1","context":{"ip":"203.0.113.7","page":{"url":"https://example.com/a"}}}
// event {"userId":"u-2","context":{}}
// userId -> id
// context.ip -> ip
// context.page.url -> url

export function transformEvent(event) {
  const { userId: id, context: { ip = '0.0.0.0', page: { url } = {} } = {} } = event;
  return { id, ip, url };
}
