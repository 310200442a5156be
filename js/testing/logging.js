// What the current test has logged, its own lines and the transformation's; shown only if it fails.
(() => {
  const MAX_LINES = 1000;
  let lines = [];
  return {
    begin: () => { lines = []; },
    add: (line) => { if (lines.length < MAX_LINES) lines.push(line); },
    take: () => lines,
  };
})
