exports.round = (n) => Math.round(n);
