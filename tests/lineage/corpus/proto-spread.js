// event {"id":"1","properties":{"a":1,"b":{"c":"x"}}}
// passes id
// properties.a -> a
// properties.b.c -> b.c

export const transformEvent = ({ id, properties }) => ({ ...properties, id });
