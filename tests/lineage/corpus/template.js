// event {"user":{"id":7,"name":"Ada"},"total":12.5,"currency":"EUR"}
// user.id -> text
// user.name -> text
// total -> text
// currency -> text
// user.id -> link
// total -> price
// currency -> price

export const transformEvent = (e) => ({
  text: `${e.user.name} (#${e.user.id}) spent ${e.total.toFixed(2)} ${e.currency}`,
  link: `https://crm.example/users/${encodeURIComponent(e.user.id)}`,
  price: `${e.total}${e.currency}`,
});
