// tries: every global; verdict: ok or failed exception
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (const key of Object.getOwnPropertyNames(globalThis)) { try { globalThis[key] = 'poisoned'; } catch {} try { delete globalThis[key]; } catch {} }
  return event;
}
