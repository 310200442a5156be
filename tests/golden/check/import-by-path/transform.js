import { add } from "./lib/jsLib1.js";
export function transformEvent(event) { return add(event); }
