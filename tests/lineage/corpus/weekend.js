// event {"timestamp":"2026-03-07T10:00:00Z","amount":10}
// timestamp ~> segment
// amount ~> segment
// amount -> rounded

export function transformEvent(e) {
  const weekend = [0, 6].includes(new Date(e.timestamp).getUTCDay());
  const segment = weekend && e.amount > 5 ? 'weekend-big' : e.amount > 100 ? 'big' : 'small';
  return { segment, rounded: Math.floor(e.amount / 10) * 10 };
}
