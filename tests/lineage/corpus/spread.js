// event {"type":"page","name":"Home","context":{"ip":"203.0.113.7"}}
// passes type, name, context.ip
// (constant) -> channel

export const transformEvent = (event) => ({ ...event, channel: 'web' });
