import { add } from "jsLib";
export function transformEvent(event) { return add(event); }
