// tries: import.meta of the host; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  if (Object.keys(import.meta).length > 0 || import.meta.url !== undefined || import.meta.resolve !== undefined) throw new Error(JSON.stringify(import.meta));
  return event;
}
