// What the isolate has and TypeScript's library does not declare yet.
interface JSON {
  rawJSON(text: string): object;
}
interface ErrorConstructor {
  stackTraceLimit?: number;
}
declare function log(...args: unknown[]): void;
