interface Options {
  upper: boolean;
}

/** Words with dashes between them. */
export function slug(text: string, options?: Options): string {
  const words = text.split(' ');
  return options?.upper ? words.join('-').toUpperCase() : words.join('-');
}

export const unused = (text: string): string => {
  return text;
};
