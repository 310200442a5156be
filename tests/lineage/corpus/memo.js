// event {"text":"Hello World","id":1}
// passes id
// text -> slug

const cache = new Map();
const slug = (text) => { if (!cache.has(text)) cache.set(text, text.toLowerCase().replace(/\W+/g, '-')); return cache.get(text); };
export const transformEvent = ({ id, text }) => ({ id, slug: slug(text) });
