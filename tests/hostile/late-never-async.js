// tries: an await of what never settles; verdict: failed never_settles
export async function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  await new Promise(() => {});
}
