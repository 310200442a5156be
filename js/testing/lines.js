// The differences of two texts, line by line: a list of lines that begin with ` `, `-` or `+`, with three equal lines
// around each change. Used for strings in assertions and for snapshots.
(() => {
  const AROUND = 3;
  // Beyond this size, the table of the longest common subsequence would be too large: the middle then counts as
  // replaced.
  const MAX_CELLS = 1 << 22;

  /** The lines of two texts, each with its sign, without the equal lines at both ends. */
  const middle = (a, b) => {
    if (a.length * b.length > MAX_CELLS) return [...a.map((line) => `-${line}`), ...b.map((line) => `+${line}`)];
    const width = b.length + 1;
    const longest = new Uint32Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        longest[i * width + j] = a[i] === b[j]
          ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
      }
    }
    const signed = [];
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) {
        signed.push(` ${a[i]}`);
        i++;
        j++;
      } else if (j === b.length || (i < a.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
        signed.push(`-${a[i++]}`);
      } else {
        signed.push(`+${b[j++]}`);
      }
    }
    return signed;
  };

  const byLine = (expected, actual) => {
    const [a, b] = [expected.split('\n'), actual.split('\n')];
    let start = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    let end = 0;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
    const signed = [
      ...a.slice(0, start).map((line) => ` ${line}`),
      ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
      ...a.slice(a.length - end).map((line) => ` ${line}`),
    ];
    const isNear = (index) => signed.slice(Math.max(0, index - AROUND), index + AROUND + 1).some((line) => line[0] !== ' ');
    const shown = [];
    let hidden = [];
    const flush = () => {
      // The note needs a line too, so a single hidden line is shown instead.
      if (hidden.length > 1) shown.push(` … ${hidden.length} equal lines`);
      else shown.push(...hidden);
      hidden = [];
    };
    signed.forEach((line, index) => {
      if (!isNear(index)) {
        hidden.push(line);
        return;
      }
      flush();
      shown.push(line);
    });
    flush();
    return shown;
  };

  return { byLine };
})
