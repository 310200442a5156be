// event {"a":"1","b":"2"}
// a -> x
// b -> y
// a -> fetch(https://api.example.com).url
// b -> fetch(https://api.example.com).url
// network(https://api.example.com).body.v -> x
// network(https://api.example.com).body.v -> y

export async function transformEvent({ a, b }) {
  const [r, s] = await Promise.all(
    [a, b].map(async (k) => {
      const q = await fetchV2('https://api.example.com/' + k);
      return k + ':' + q.body.v;
    }),
  );
  return { x: r, y: s };
}
