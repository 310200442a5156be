// What a transformation and its tests can call. Put this file into the project (`sluicegate types > sluicegate.d.ts`) and
// every editor knows it; `tsc --noEmit` then checks the types that `sluicegate` itself takes away unread.

// --- events ---------------------------------------------------------------------------------------------------------

/** Whatever JSON can say. */
type Json = string | number | boolean | null | Json[] | { [key: string]: Json | undefined };

/** What every event may have. Fields that are not listed can be there too. */
interface EventBase {
  messageId?: string;
  channel?: string;
  userId?: string;
  anonymousId?: string;
  rudderId?: string;
  recordId?: string;
  context?: EventContext;
  integrations?: { All?: boolean; [destination: string]: any };
  originalTimestamp?: string;
  sentAt?: string;
  receivedAt?: string;
  timestamp?: string;
  [field: string]: any;
}

interface EventContext {
  app?: { name?: string; version?: string; build?: string; namespace?: string; [field: string]: any };
  campaign?: { name?: string; source?: string; medium?: string; term?: string; content?: string; [field: string]: any };
  device?: { id?: string; manufacturer?: string; model?: string; name?: string; type?: string; [field: string]: any };
  externalId?: { type: string; id: string; identifierType?: string; [field: string]: any }[];
  ip?: string;
  library?: { name?: string; version?: string };
  locale?: string;
  page?: { path?: string; referrer?: string; search?: string; title?: string; url?: string; [field: string]: any };
  timezone?: string;
  traits?: { [trait: string]: any };
  userAgent?: string;
  [field: string]: any;
}

interface IdentifyEvent extends EventBase {
  type: 'identify';
  traits?: { [trait: string]: any };
}

interface TrackEvent extends EventBase {
  type: 'track';
  event: string;
  properties?: { [property: string]: any };
}

interface PageEvent extends EventBase {
  type: 'page';
  name?: string;
  category?: string;
  properties?: { [property: string]: any };
}

interface ScreenEvent extends EventBase {
  type: 'screen';
  name?: string;
  category?: string;
  properties?: { [property: string]: any };
}

interface GroupEvent extends EventBase {
  type: 'group';
  groupId: string;
  traits?: { [trait: string]: any };
}

interface AliasEvent extends EventBase {
  type: 'alias';
  previousId?: string;
  traits?: { [trait: string]: any };
}

/** A row of a reverse-ETL sync. */
interface RecordEvent extends EventBase {
  type: 'record';
  action: 'insert' | 'update' | 'delete';
  fields?: { [column: string]: any };
  identifiers?: { [column: string]: any };
}

type RudderEvent = IdentifyEvent | TrackEvent | PageEvent | ScreenEvent | GroupEvent | AliasEvent | RecordEvent;

/** What `transformEvent` may return: one event, several, or nothing, which drops the event. */
type Transformed = object | object[] | null | undefined | void;

/** `export const transformEvent: TransformEvent = (event, metadata) => …` */
type TransformEvent<E = RudderEvent> = (event: E, metadata: MetadataFunction) => Transformed | Promise<Transformed>;

/** `export const transformBatch: TransformBatch = (events, metadata) => …` */
type TransformBatch<E = RudderEvent> = (events: E[], metadata: MetadataFunction) => object[] | Promise<object[]>;

// --- what the code can call -----------------------------------------------------------------------------------------

/** What is known of an event beside the event itself. Absent keys are undefined. */
interface Metadata {
  sourceId?: string;
  sourceName?: string;
  workspaceId?: string;
  sourceType?: string;
  sourceCategory?: string;
  destinationId?: string;
  destinationType?: string;
  destinationName?: string;
  namespace?: string;
  originalSourceId?: string;
  trackingPlanId?: string;
  trackingPlanVersion?: number | string;
  sourceTpConfig?: { [key: string]: any };
  mergedTpConfig?: { [key: string]: any };
  jobId?: string | number;
  sourceJobId?: string;
  sourceJobRunId?: string;
  sourceTaskRunId?: string;
  recordId?: Json;
  messageId?: string;
  messageIds?: string[];
  rudderId?: string;
  receivedAt?: string;
  eventName?: string;
  eventType?: string;
  sourceDefinitionId?: string;
  destinationDefinitionId?: string;
  transformationId?: string;
  transformationVersionId?: string;
}

/** The second argument of both functions: the metadata of the current event. */
type MetadataFunction = (event: object) => Metadata;

/** Writes a log line: arguments joined with spaces, objects as JSON. Never throws. */
declare function log(...values: unknown[]): void;

/** The same channel as `log`, with a level. */
declare var console: {
  log(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
};

/** A credential of the workspace, or undefined. Its value is masked in logs and errors. */
declare function getCredential(key: string): string | undefined;

interface FetchOptions {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';
  headers?: { [name: string]: string } | [string, string][];
  body?: string;
  /** In milliseconds; never more than the event's wall limit. */
  timeout?: number;
  redirect?: 'follow' | 'manual' | 'error';
  /** How many redirects are followed, at most 10. */
  follow?: number;
}

interface FetchResponse {
  url: string;
  status: number;
  headers: { [name: string]: string };
  /** Parsed if it is JSON, else its text. */
  body: any;
}

/** The body of the answer, parsed; or the string `'ERROR'`. Only where hosts are allowed; with `--strict-fetch` it throws. */
declare function fetch(url: string, options?: FetchOptions): Promise<any>;

/** The whole answer. Rejects with an Error. Only where hosts are allowed. */
declare function fetchV2(url: string, options?: FetchOptions): Promise<FetchResponse>;

/** What the operator's service knows about an address. Rejects with an Error. */
declare function geolocation(ip: string): Promise<any>;

// --- libraries that are shipped -------------------------------------------------------------------------------------

declare module 'warehouseActionsUtils' {
  /** Builds an object of the JSON text of `[key, value]` pairs; pairs with a falsy value are left out. */
  export function rebuild_object(input_string: string | null | undefined): { [column: string]: any };
  /** Whether the new truth says anything that the old one does not. */
  export function compare_truths(new_truth: object | null | undefined, old_truth: object | null | undefined): boolean;
}

// --- tests: *.test.js and *.test.ts ---------------------------------------------------------------------------------

type FailureKind =
  | 'invalid_json' | 'not_an_object' | 'line_too_long' | 'exception' | 'bad_return' | 'timeout' | 'memory'
  | 'output_too_large' | 'never_settles' | 'crashed';

interface LogLine {
  level: 'log' | 'debug' | 'info' | 'warn' | 'error';
  message: string;
}

/** The result of an event: the verdict that `sluicegate run` gives. */
type Verdict =
  | { verdict: 'ok'; events: any[]; logs: LogLine[] }
  | { verdict: 'dropped'; events: any[]; logs: LogLine[] }
  | {
      verdict: 'failed'; events: any[]; logs: LogLine[]; kind: FailureKind; name?: string; message: string;
      stack?: string; file?: string; line?: number; column?: number;
    };

interface TransformOptions {
  /** What `metadata(event)` answers. */
  metadata?: Metadata & { [key: string]: any };
  /** What `getCredential(key)` answers. */
  credentials?: { [key: string]: string };
  /** The time at which the code believes to run: `Date.now()`, `new Date()`. */
  now?: string | number | Date;
  /** Makes `Math.random()` give the same numbers each time. */
  seed?: number;
  /** Recorded answers: a table by URL (`'https://…'`, `'POST https://…'`, `'geolocation 8.8.8.8'`), or a function. */
  fetch?: { [request: string]: RecordedAnswer | AnswerFunction } | AnswerFunction;
}

/** What a request is answered in a test; an Error is what it fails with. */
type RecordedAnswer =
  | { status?: number; headers?: { [name: string]: string }; body?: unknown; url?: string }
  | { error: string | Error }
  | Error;

type AnswerFunction = (
  url: string, request: { method?: string; headers: { [name: string]: string }; body?: string },
) => RecordedAnswer | undefined;

interface Transform {
  /** Runs the transformation over one event (or the JSON text of one), as `sluicegate run` would. */
  (event: object | string, options?: TransformOptions): Verdict;
  /** Another transformation than the one that the test file is named after, e.g. `transform.of('./orders.js')`. */
  of(path: string): Transform;
}

type TestBody = () => unknown;

interface TestFunction {
  (name: string, body: TestBody): void;
  only(name: string, body: TestBody): void;
  skip(name: string, body?: TestBody): void;
  /** `%s`, `%d`, `%j` and `$key` in the name are replaced by the row's values. */
  each<Row>(rows: readonly Row[]): (
    name: string, body: (...row: Row extends readonly any[] ? Row : [Row]) => unknown,
  ) => void;
}

interface DescribeFunction {
  (name: string, body: () => void): void;
  only(name: string, body: () => void): void;
  skip(name: string, body: () => void): void;
  each<Row>(rows: readonly Row[]): (
    name: string, body: (...row: Row extends readonly any[] ? Row : [Row]) => void,
  ) => void;
}

interface Asymmetric {
  /** Anything but null and undefined. */
  anything(): any;
  /** A value of this class: `String`, `Number`, `Array`, … */
  any(type: unknown): any;
  objectContaining(part: object): any;
  arrayContaining(part: readonly unknown[]): any;
  stringContaining(part: string): any;
  stringMatching(pattern: string | RegExp): any;
  closeTo(value: number, digits?: number): any;
}

interface Matchers<Result> {
  not: Matchers<Result>;
  resolves: Matchers<Promise<void>>;
  rejects: Matchers<Promise<void>>;
  toBe(expected: unknown): Result;
  /** The same fields with the same values; those that are undefined do not count. */
  toEqual(expected: unknown): Result;
  /** As toEqual, but undefined fields and classes count. */
  toStrictEqual(expected: unknown): Result;
  /** All fields of `expected` are there; others may be too. */
  toMatchObject(expected: object): Result;
  toContain(item: unknown): Result;
  toContainEqual(item: unknown): Result;
  toHaveProperty(path: string | readonly (string | number)[], value?: unknown): Result;
  toHaveLength(length: number): Result;
  toMatch(pattern: string | RegExp): Result;
  toThrow(expected?: string | RegExp | Error | (new (...args: any[]) => Error)): Result;
  toBeCloseTo(value: number, digits?: number): Result;
  toBeGreaterThan(value: number | bigint): Result;
  toBeGreaterThanOrEqual(value: number | bigint): Result;
  toBeLessThan(value: number | bigint): Result;
  toBeLessThanOrEqual(value: number | bigint): Result;
  toBeTruthy(): Result;
  toBeFalsy(): Result;
  toBeNull(): Result;
  toBeUndefined(): Result;
  toBeDefined(): Result;
  toBeNaN(): Result;
  toBeInstanceOf(type: new (...args: any[]) => unknown): Result;
  toMatchSnapshot(hint?: string): Result;
  toMatchInlineSnapshot(snapshot?: string): Result;
  /** A verdict: nothing goes out. */
  toBeDropped(): Result;
  /** A verdict: the event failed, with this kind, or with a message that matches. */
  toFailWith(expected: FailureKind | RegExp | { kind?: FailureKind; name?: string; message?: string | RegExp }): Result;
  /** A verdict: exactly these events go out. One object stands for a list of one. */
  toEmit(expected: object | readonly object[]): Result;
}

declare var transform: Transform;
declare var test: TestFunction;
declare var it: TestFunction;
declare var describe: DescribeFunction;
declare function beforeEach(body: TestBody): void;
declare function afterEach(body: TestBody): void;
declare function beforeAll(body: TestBody): void;
declare function afterAll(body: TestBody): void;
declare var expect: ((actual: unknown) => Matchers<void>) & Asymmetric & { not: Asymmetric };

declare module 'sluicegate' {
  const exported: {
    transform: Transform; test: TestFunction; it: TestFunction; describe: DescribeFunction;
    beforeEach: (body: TestBody) => void; afterEach: (body: TestBody) => void;
    beforeAll: (body: TestBody) => void; afterAll: (body: TestBody) => void; expect: typeof globalThis.expect;
  };
  export const transform: typeof exported.transform;
  export const test: typeof exported.test;
  export const it: typeof exported.it;
  export const describe: typeof exported.describe;
  export const beforeEach: typeof exported.beforeEach;
  export const afterEach: typeof exported.afterEach;
  export const beforeAll: typeof exported.beforeAll;
  export const afterAll: typeof exported.afterAll;
  export const expect: typeof exported.expect;
}
