import { add } from "jsLib1";
export function transformEvent(event) {
  event.total = add(event.a, event.b);
  return event;
}
