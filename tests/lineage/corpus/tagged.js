// event {"name":"Ada","n":3}
// name -> html
// n -> html

const html = (parts, ...values) => parts.reduce((out, part, i) => out + part + (i < values.length ? String(values[i]).replace(/</g, '&lt;') : ''), '');
export const transformEvent = ({ name, n }) => ({ html: html`<b>${name}</b> has ${n}` });
