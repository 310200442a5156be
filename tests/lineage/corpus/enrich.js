// event {"userId":"42","traits":{"plan":"pro"}}
// answers {"https://api.example.com/users/42":{"body":{"score":7,"unused":"x"}}}
// passes userId, traits.plan
// userId -> fetch(https://api.example.com).url
// network(https://api.example.com/users/42).body.score -> traits.score

export async function transformEvent(event) {
  const answer = await fetchV2(`https://api.example.com/users/${event.userId}`);
  event.traits.score = answer.body.score;
  return event;
}
