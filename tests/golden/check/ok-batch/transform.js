export const transformBatch = async (events) => events;
