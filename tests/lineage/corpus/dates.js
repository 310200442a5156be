// event {"sentAt":"2026-03-01T09:30:00.000Z","born":"1990-05-17","ts":1767225600}
// sentAt -> day
// sentAt -> hour
// sentAt -> epoch
// born -> year
// ts -> at

export function transformEvent({ sentAt, born, ts }) {
  const sent = new Date(sentAt);
  return {
    day: sent.toISOString().slice(0, 10), hour: sent.getUTCHours(), epoch: sent.getTime(),
    year: new Date(born).getUTCFullYear(), at: new Date(ts * 1000).toISOString(),
  };
}
