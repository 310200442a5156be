// tries: WebAssembly; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  let reached = false;
  try { new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])); reached = true; } catch {}
  if (reached) throw new Error('reached');
  return event;
}
