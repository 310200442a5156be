const settings = await new Promise(() => {});
export function transformEvent(event) { return { ...event, ...settings }; }
