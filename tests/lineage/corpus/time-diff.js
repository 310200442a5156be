// event {"start":"2026-01-01T10:00:00Z","end":"2026-01-01T10:30:00Z"}
// start -> minutes
// end -> minutes
// start ~> long
// end ~> long

export function transformEvent({ start, end }) {
  const minutes = (Date.parse(end) - Date.parse(start)) / 60000;
  return { minutes, long: minutes > 60 };
}
