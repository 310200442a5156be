function build(rows) {
  return rows.map((row) => row.id.toUpperCase());
}
export const table = build([{ id: "a" }, {}]);
