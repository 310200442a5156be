// event {"type":"track","context":{"ip":"203.0.113.7"}}
// passes type, context.ip
// metadata.sourceId -> context.source
// metadata.sourceName -> context.label
// metadata.destinationName -> context.label

export function transformEvent(event, metadata) {
  const { sourceId, sourceName, destinationName } = metadata(event);
  event.context.source = sourceId;
  event.context.label = `${sourceName} to ${destinationName}`;
  return event;
}
