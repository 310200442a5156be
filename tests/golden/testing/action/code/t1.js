import { one } from "jsLib1"; export function transformBatch(es) { return es.map((e) => ({ ...e, n: one })); }
