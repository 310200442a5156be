import { add } from "sums";
export function transformEvent(event) { return add(event); }
