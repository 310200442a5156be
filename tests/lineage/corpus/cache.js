// event {"groupId":"g-1","traits":{"name":"Acme"}}
// event {"groupId":"g-2","traits":{"name":"Bolt"}}
// passes groupId
// traits.name -> slug

const slugs = new Map();

const slug = (name) => {
  if (!slugs.has(name)) slugs.set(name, name.toLowerCase().replace(/[^a-z0-9]+/g, '-'));
  return slugs.get(name);
};

export const transformEvent = (event) => ({ groupId: event.groupId, slug: slug(event.traits.name) });
