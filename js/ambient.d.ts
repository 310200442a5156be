// Declares built-ins of the isolate that TypeScript's library does not declare (yet).
interface JSON {
  rawJSON(text: string): object;
  isRawJSON(value: unknown): boolean;
}
interface ErrorConstructor {
  stackTraceLimit?: number;
}
interface PropertyDescriptor {
  __proto__?: null;
}
declare function log(...args: unknown[]): void;
declare var TextEncoder: { new (): { encode(text: string): Uint8Array } };
declare var TextDecoder: { new (label?: string): { decode(bytes: Uint8Array): string } };
declare var crypto: { randomUUID(): string; getRandomValues<T>(array: T): T };
declare module 'hash' {
  export function sha1(input: string | Uint8Array, encoding?: string): any;
}
