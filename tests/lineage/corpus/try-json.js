// event {"raw":"{\"a\":1,\"b\":{\"c\":\"x\"}}"}
// raw(json).a -> a
// raw(json).b.c -> c

export function transformEvent({ raw }) {
  let data;
  try { data = JSON.parse(raw); } catch { data = {}; }
  return { a: data.a, c: data.b?.c };
}
