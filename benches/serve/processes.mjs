// The resources of a process and its descendants, from /proc.

import { readFileSync, readdirSync } from 'node:fs';

/** The ids of a process and of all its descendants. */
export const processes = (pid) => {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(processes)];
};

/** Their CPU time in seconds, with that of children that have ended. */
export const cpu = (pid) => {
  const ticks = (id) => {
    const fields = readFileSync(`/proc/${id}/stat`, 'utf8').split(') ').at(-1).split(' ');
    return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
  };
  return processes(pid).reduce((sum, id) => sum + ticks(id), 0) / 100;
};

/** Their memory (PSS) in MiB. */
export const pss = (pid) => {
  const kib = (one) => Number(/^Pss: +(\d+)/mu.exec(readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'))[1]);
  return processes(pid).reduce((sum, one) => sum + kib(one), 0) / 1024;
};
