// `metadata(event)`: the documented keys of the event in hand, absent ones undefined. It belongs to the event that is
// being transformed, whatever the code did to its `messageId`.
((host) => {
  const { parse } = JSON;
  const KEYS = [
    'sourceId', 'sourceName', 'workspaceId', 'sourceType', 'sourceCategory', 'destinationId', 'destinationType',
    'destinationName', 'namespace', 'originalSourceId', 'trackingPlanId', 'trackingPlanVersion', 'sourceTpConfig',
    'mergedTpConfig', 'jobId', 'sourceJobId', 'sourceJobRunId', 'sourceTaskRunId', 'recordId', 'messageId',
    'messageIds', 'rudderId', 'receivedAt', 'eventName', 'eventType', 'sourceDefinitionId', 'destinationDefinitionId',
    'transformationId', 'transformationVersionId',
  ];

  const take = (into, text) => {
    if (text === undefined) return;
    const source = parse(text);
    for (let i = 0; i < KEYS.length; i++) {
      const value = source[KEYS[i]];
      if (value !== undefined) into[KEYS[i]] = value;
    }
  };

  return (event) => {
    if (event === undefined || event === null) return {};
    const answer = {};
    for (let i = 0; i < KEYS.length; i++) answer[KEYS[i]] = undefined;
    take(answer, host.defaultMetadata);
    take(answer, host.metadataText(host.batchIndex(event)));
    return answer;
  };
})
