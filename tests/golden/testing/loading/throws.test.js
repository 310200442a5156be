const x = undefined;
x.y;
