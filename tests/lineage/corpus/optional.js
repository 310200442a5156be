// event {"userId":"u","context":{"app":{"name":"shop"}}}
// event {"userId":"v"}
// passes userId
// context.app.name -> app

export function transformEvent(e) {
  return { userId: e.userId, app: e.context?.app?.name ?? 'none' };
}
