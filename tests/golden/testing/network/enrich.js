export async function transformEvent(event) {
  const answer = await fetchV2(`https://api.example.com/users/${event.userId}`);
  if (answer.status !== 200) return null;
  event.traits = answer.body;
  if (event.ip) event.geo = await geolocation(event.ip);
  if (event.post) event.posted = await fetch('https://api.example.com/post', { method: 'POST', body: 'x' });
  return event;
}
