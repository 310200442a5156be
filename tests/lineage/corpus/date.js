// event {"originalTimestamp":"2024-02-29T10:30:00.000Z","userId":"u-1"}
// passes originalTimestamp, userId
// originalTimestamp -> day
// originalTimestamp -> hour

export function transformEvent(event) {
  const date = new Date(event.originalTimestamp);
  return { ...event, day: date.toISOString().slice(0, 10), hour: date.getUTCHours() };
}
