export type Slug = string;
export const slugify = (text: string): Slug => text.toLowerCase().replace(/\s+/g, '-');
export const notify = async (send: (message: string) => Promise<number>, message: string) => (await send(message)) + 1;
