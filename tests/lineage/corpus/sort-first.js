// event {"visits":[{"at":"2026-01-03","url":"/b"},{"at":"2026-01-01","url":"/a"},{"at":"2026-01-09","url":"/c"}]}
// visits[].url -> first
// visits[].url -> last
// visits[].at -> last_at
// visits[].at ~> first
// visits[].at ~> last

export function transformEvent({ visits }) {
  const all = [...visits].sort((a, b) => a.at.localeCompare(b.at));
  return { first: all[0].url, last: all.at(-1).url, last_at: all.at(-1).at };
}
