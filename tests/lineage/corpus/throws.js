// event {"userId":"u","n":1}
// passes userId, n

export function transformEvent(e) {
  if (!e.userId) throw new Error('no user');
  return e;
}
