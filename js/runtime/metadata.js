// `metadata(event)` returns the documented keys of the current event; missing ones are undefined. It returns the
// metadata of the event that is being transformed even if the code has changed its `messageId`.
((host) => {
  const { parse } = JSON;
  const NOTHING = { __proto__: null };

  // A literal is built in one step. If keys were added one by one, V8 would switch to dictionary mode.
  const documented = ((own) => ({
    sourceId: own.sourceId,
    sourceName: own.sourceName,
    workspaceId: own.workspaceId,
    sourceType: own.sourceType,
    sourceCategory: own.sourceCategory,
    destinationId: own.destinationId,
    destinationType: own.destinationType,
    destinationName: own.destinationName,
    namespace: own.namespace,
    originalSourceId: own.originalSourceId,
    trackingPlanId: own.trackingPlanId,
    trackingPlanVersion: own.trackingPlanVersion,
    sourceTpConfig: own.sourceTpConfig,
    mergedTpConfig: own.mergedTpConfig,
    jobId: own.jobId,
    sourceJobId: own.sourceJobId,
    sourceJobRunId: own.sourceJobRunId,
    sourceTaskRunId: own.sourceTaskRunId,
    recordId: own.recordId,
    messageId: own.messageId,
    messageIds: own.messageIds,
    rudderId: own.rudderId,
    receivedAt: own.receivedAt,
    eventName: own.eventName,
    eventType: own.eventType,
    sourceDefinitionId: own.sourceDefinitionId,
    destinationDefinitionId: own.destinationDefinitionId,
    transformationId: own.transformationId,
    transformationVersionId: own.transformationVersionId,
  }));

  // JSON text; undefined until it is set.
  let defaultMetadata;

  /** The default metadata, overridden by the event's own. */
  const merged = (own) => ({ __proto__: null, ...parse(defaultMetadata), ...own });

  host.documented(Object.keys(documented(NOTHING)));
  const { lazyMetadata, metadataOf, batchIndex } = host;

  const metadata = (event) => {
    if (event === undefined || event === null) return {};
    const index = batchIndex(event);
    const lazy = lazyMetadata(index);
    if (lazy !== undefined) return lazy;
    const found = metadataOf(index) ?? NOTHING;
    const own = typeof found === 'string' ? parse(found) : found;
    return documented(defaultMetadata === undefined ? own : merged(own));
  };
  const setDefaultMetadata = ((text) => {
    defaultMetadata = text;
  });
  return { metadata, setDefaultMetadata };
})
