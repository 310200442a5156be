// event {"players":[{"name":"Ada","score":3},{"name":"Bob","score":9},{"name":"Cy","score":5}]}
// players[].name -> ranking[]
// players[].score ~> ranking[]

export function transformEvent({ players }) {
  const best = players.toSorted((one, other) => other.score - one.score);
  return { ranking: best.map((player) => player.name) };
}
