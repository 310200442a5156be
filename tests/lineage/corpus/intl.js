// event {"price":1234.5,"at":"2026-05-01T00:00:00Z","name":"éclair"}
// price -> text
// at -> month
// name -> slug

export const transformEvent = ({ price, at, name }) => ({
  text: new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' }).format(price),
  month: new Intl.DateTimeFormat('en', { month: 'long', timeZone: 'UTC' }).format(new Date(at)),
  slug: name.normalize('NFD').replace(/[\u0300-\u036f]/g, ''),
});
