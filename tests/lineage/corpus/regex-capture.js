// event {"page":{"path":"/shop/shoes/4711-runner"},"ua":"Mozilla/5.0 (X11) Firefox/128.0"}
// page.path -> category
// page.path -> product_id
// page.path -> slug
// ua -> browser
// ua -> version

export function transformEvent({ page, ua }) {
  const { groups } = /\/shop\/(?<category>[^/]+)\/(?<id>\d+)-(?<slug>.*)$/.exec(page.path) ?? { groups: {} };
  const [, browser, version] = ua.match(/(Firefox|Chrome|Safari)\/(\d+)/) ?? [];
  return { category: groups.category, product_id: Number(groups.id), slug: groups.slug, browser, version };
}
