// event {"userId":"u-1","traits":{"email":"ada@example.com","plan":"pro"}}
// passes userId, traits.email, traits.plan
// traits.email -> fetch(https://hooks.example.com).body.email
// credential.HOOK_TOKEN -> fetch(https://hooks.example.com).headers.authorization
// (constant) -> fetch(https://hooks.example.com).url
// (constant) -> fetch(https://hooks.example.com).method

export async function transformEvent(event) {
  await fetchV2('https://hooks.example.com/in', {
    method: 'POST',
    headers: { authorization: `Bearer ${getCredential('HOOK_TOKEN')}` },
    body: JSON.stringify({ email: event.traits.email }),
  });
  return event;
}
