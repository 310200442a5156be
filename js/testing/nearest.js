// Finds the known word that an unknown one probably means.
(() => {
  /** The number of letters to change to get from one word to another. */
  const distance = (a, b) => {
    let row = Array.from({ length: b.length + 1 }, (_, index) => index);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) {
        next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      }
      row = next;
    }
    return row[b.length];
  };

  /** The most similar of the words, or undefined if none is similar. */
  const nearest = (word, words) => {
    const lower = word.toLowerCase();
    const ranked = words.map((name) => [distance(lower, name.toLowerCase()), name]).sort(([a], [b]) => a - b);
    const [found] = ranked;
    return found !== undefined && found[0] <= Math.max(1, word.length / 3) ? found[1] : undefined;
  };

  return { nearest };
})
