import { up } from "myLib"; export function transformEvent(e) { if (e.drop) return; e.name = up(e.name); return e; }
