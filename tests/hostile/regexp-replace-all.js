// tries: replacing by a slow expression; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  return { x: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.replaceAll(/(a|aa)+$/g, '') };
}
