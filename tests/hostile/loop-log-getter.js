// tries: a getter that never returns, logged; verdict: failed timeout
export function transformEvent(event, metadata) {
  if (!event.hostile) return event;
  log({ get a() { for (;;) {} } });
  const list = [1];
  list.toJSON = () => { for (;;) {} };
  for (;;) console.log(list);
}
