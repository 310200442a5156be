// event {"groups":[{"name":"a","members":["x","y"]},{"name":"b","members":["z"]}]}
// groups[].name -> pairs[].group
// groups[].members[] -> pairs[].member

export function transformEvent({ groups }) {
  function* pairs() {
    for (const group of groups) for (const member of group.members) yield { group: group.name, member };
  }
  return { pairs: Array.from(pairs()) };
}
