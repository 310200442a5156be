import { table } from "tables";
export function transformEvent(event) { return table[event.type]; }
