// event {"userId":"u1","email":"ada@example.com"}
// passes userId
// email -> mail
// userId -> key

const later = async (value) => value;
const clean = async (text) => (await later(text)).trim().toLowerCase();
export async function transformEvent(event) {
  const mail = await clean(event.email);
  const parts = await Promise.all([later(event.userId), later(':'), later('x')]);
  return { userId: event.userId, mail, key: parts.join('') };
}
