// The log lines of the current test and of its transformation; shown only if the test fails.
(() => {
  const MAX_LINES = 1000;
  let lines = [];
  return {
    begin: () => { lines = []; },
    add: (line) => { if (lines.length < MAX_LINES) lines.push(line); },
    take: () => lines,
  };
})
