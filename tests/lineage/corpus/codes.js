// event {"order":{"status":1}}
// event {"order":{"status":9}}
// order.status -> status

const S = { 1: 'new', 2: 'paid', 3: 'sent' };
export const transformEvent = (e) => ({ status: S[e.order.status] ?? 'unknown' });
