// event {"type":"track","id":"1"}
// passes type, id
// metadata.destinationType ~> integrations.All
// decides metadata.sourceCategory

export function transformEvent(e, metadata) {
  const m = metadata(e);
  if (m.sourceCategory === 'test') return null;
  e.integrations = { All: m.destinationType !== 'S3' };
  return e;
}
