// event {"qty":"3","price":2.5}
// qty -> total
// price -> total
// qty -> qty (computed)

export const transformEvent = ({ qty, price }) => ({ total: Number(qty) * price, qty: parseInt(qty, 10) });
