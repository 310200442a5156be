// event {"tags":["b","a","b"],"limit":2}
// tags[] -> tags
// limit -> tags

export const transformEvent = ({ tags, limit }) => ({ tags: [...new Set(tags)].sort().slice(0, limit).join(',') });
