let count = 0;

export function transformEvent(event) {
  if (event.first) globalThis.firstSeen = event.id;
  count += event.count ?? 0;
  return { ...event, count, first: globalThis.firstSeen };
}
