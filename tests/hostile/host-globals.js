// tries: globals of hosts; verdict: ok
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  for (const name of ['Deno', '__bootstrap', 'process', 'require', 'module', 'Buffer', 'window', 'self', 'importScripts', 'XMLHttpRequest', 'WebSocket', 'Worker', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'WebAssembly', 'SharedArrayBuffer', 'Atomics', 'ShadowRealm', 'gc', 'print', 'read', 'load', 'quit', 'd8']) {
    if (name in globalThis) throw new Error(name);
  }
  return event;
}
