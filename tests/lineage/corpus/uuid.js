// event {"userId":"u"}
// passes userId
// random -> messageId

export const transformEvent = (e) => ({ ...e, messageId: crypto.randomUUID() });
