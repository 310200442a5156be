import { add, subtract } from "sums";
export function transformEvent(event) { return subtract(add(event)); }
