// tries: line ends in texts that JSON.rawJSON takes; verdict: ok or failed exception
export function transformEvent(event) {
  if (!event.hostile) return event;
  const odd = ['1\n', '\n1', '"a\nb"', '{}\n{}', '1,2', ' 1'];
  for (const text of odd) { try { event[text] = JSON.rawJSON(text); } catch { event.refused = (event.refused ?? 0) + 1; } }
  return [event, { raw: JSON.rawJSON('1') }];
}
