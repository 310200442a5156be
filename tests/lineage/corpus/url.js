// event {"page":{"url":"https://shop.example.com/a?utm_source=mail&q=1"}}
// passes page.url
// page.url -> host
// page.url -> source

export function transformEvent(e) {
  const u = new URL(e.page.url);
  e.host = u.hostname;
  e.source = u.searchParams.get('utm_source');
  return e;
}
