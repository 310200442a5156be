// event {"first":"1","second":"2","third":"3"}
// first -> a
// third -> c

export function transformEvent(event) {
  const [a, , c] = (function* () { yield event.first; yield event.second; yield event.third; })();
  return { a, c };
}
