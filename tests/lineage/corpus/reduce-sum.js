// event {"lines":[{"price":2,"n":3,"tax":0.2},{"price":5,"n":1,"tax":0.1}],"shipping":4,"coupon":"X"}
// lines[].price -> net
// lines[].n -> net
// lines[].price -> gross
// lines[].n -> gross
// lines[].tax -> gross
// shipping -> gross

export function transformEvent({ lines, shipping }) {
  const { net, tax } = lines.reduce(
    (sum, l) => ({ net: sum.net + l.price * l.n, tax: sum.tax + l.price * l.n * l.tax }), { net: 0, tax: 0 });
  return { net, gross: Math.round((net + tax + shipping) * 100) / 100 };
}
