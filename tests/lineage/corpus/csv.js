// event {"row":"4711;Ada Lovelace;ada@example.com;1.234,50"}
// row -> id
// row -> name
// row -> email
// row -> amount

export function transformEvent({ row }) {
  const [id, name, email, amount] = row.split(';');
  return { id: +id, name, email: email.toLowerCase(), amount: parseFloat(amount.replace('.', '').replace(',', '.')) };
}
