// What a transformation and its tests can call. Put this file into the project (`sluicegate types > sluicegate.d.ts`) and
// every editor knows it; `tsc --noEmit` then checks the types that `sluicegate` itself takes away unread.

// --- events ---------------------------------------------------------------------------------------------------------

/** Whatever JSON can say. */
type Json = string | number | boolean | null | Json[] | { [key: string]: Json | undefined };

/** What every event may have. Fields that are not listed can be there too. */
interface RudderEventBase {
  messageId?: string;
  channel?: string;
  userId?: string;
  anonymousId?: string;
  rudderId?: string;
  recordId?: string;
  context?: RudderEventContext;
  integrations?: { All?: boolean; [destination: string]: any };
  originalTimestamp?: string;
  sentAt?: string;
  receivedAt?: string;
  timestamp?: string;
  [field: string]: any;
}

interface RudderEventContext {
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

interface RudderIdentifyEvent extends RudderEventBase {
  type: 'identify';
  traits?: { [trait: string]: any };
}

interface RudderTrackEvent extends RudderEventBase {
  type: 'track';
  event: string;
  properties?: { [property: string]: any };
}

interface RudderPageEvent extends RudderEventBase {
  type: 'page';
  name?: string;
  category?: string;
  properties?: { [property: string]: any };
}

interface RudderScreenEvent extends RudderEventBase {
  type: 'screen';
  name?: string;
  category?: string;
  properties?: { [property: string]: any };
}

interface RudderGroupEvent extends RudderEventBase {
  type: 'group';
  groupId: string;
  traits?: { [trait: string]: any };
}

interface RudderAliasEvent extends RudderEventBase {
  type: 'alias';
  previousId?: string;
  traits?: { [trait: string]: any };
}

/** A row of a reverse-ETL sync. */
interface RudderRecordEvent extends RudderEventBase {
  type: 'record';
  action: 'insert' | 'update' | 'delete';
  fields?: { [column: string]: any };
  identifiers?: { [column: string]: any };
}

type RudderEvent =
  | RudderIdentifyEvent | RudderTrackEvent | RudderPageEvent | RudderScreenEvent | RudderGroupEvent | RudderAliasEvent
  | RudderRecordEvent;

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
interface Console {
  log(...data: any[]): void;
  debug(...data: any[]): void;
  info(...data: any[]): void;
  warn(...data: any[]): void;
  error(...data: any[]): void;
  trace(...values: unknown[]): void;
  dir(value?: unknown, ...rest: any[]): void;
  table(value?: any, ...rest: any[]): void;
  group(...label: unknown[]): void;
  groupCollapsed(...label: unknown[]): void;
  groupEnd(): void;
  assert(condition?: boolean, ...values: unknown[]): void;
  count(label?: string): void;
  countReset(label?: string): void;
  time(label?: string): void;
  timeLog(label?: string, ...values: unknown[]): void;
  timeEnd(label?: string): void;
}
declare var console: Console;

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

// --- of the web platform --------------------------------------------------------------------------------------------
//
// Where a project has `lib.dom`, its own declarations hold.

interface URL {
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  hash: string;
  readonly searchParams: URLSearchParams;
  toString(): string;
  toJSON(): string;
}
declare var URL: typeof globalThis extends { onmessage: any; URL: infer Known } ? Known : {
  new (url: string | URL, base?: string | URL): URL;
  prototype: URL;
  canParse(url: string | URL, base?: string | URL): boolean;
  parse(url: string | URL, base?: string | URL): URL | null;
};

interface URLSearchParams {
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  toString(): string;
  forEach(callback: (value: string, key: string, parent: URLSearchParams) => void, self?: any): void;
}
declare var URLSearchParams: typeof globalThis extends { onmessage: any; URLSearchParams: infer Known } ? Known : {
  new (init?: string | [string, string][] | { [name: string]: string } | URLSearchParams): URLSearchParams;
  prototype: URLSearchParams;
};

declare var TextEncoder: typeof globalThis extends { onmessage: any; TextEncoder: infer Known } ? Known : {
  new (): { readonly encoding: string; encode(text?: string): Uint8Array; encodeInto(text: string, target: Uint8Array): { read: number; written: number } };
};
declare var TextDecoder: typeof globalThis extends { onmessage: any; TextDecoder: infer Known } ? Known : {
  new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): {
    readonly encoding: string; readonly fatal: boolean; readonly ignoreBOM: boolean;
    decode(bytes?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
  };
};
declare function atob(text: string): string;
declare function btoa(text: string): string;
declare function structuredClone<T>(value: T, options?: { transfer?: ArrayBuffer[] }): T;
declare var crypto: typeof globalThis extends { onmessage: any; crypto: infer Known } ? Known : {
  randomUUID(): string;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  readonly subtle: { digest(algorithm: 'SHA-1' | 'SHA-256' | 'SHA-384' | 'SHA-512', data: ArrayBuffer | ArrayBufferView): Promise<ArrayBuffer> };
};

// --- libraries that are shipped -------------------------------------------------------------------------------------

declare module 'hash' {
  type Encoding = 'hex' | 'base64';
  type Input = string | Uint8Array | ArrayBuffer;
  interface Digest {
    (input: Input, encoding?: Encoding): string;
    (input: Input, encoding: 'bytes'): Uint8Array;
  }
  export const md5: Digest;
  export const sha1: Digest;
  export const sha256: Digest;
  export const sha512: Digest;
  export function hmac(algorithm: 'md5' | 'sha1' | 'sha256' | 'sha512', key: Input, message: Input, encoding?: Encoding): string;
  export function hmac(algorithm: 'md5' | 'sha1' | 'sha256' | 'sha512', key: Input, message: Input, encoding: 'bytes'): Uint8Array;
}

declare module 'uuid' {
  export const DNS: string;
  export const URL_NAMESPACE: string;
  export function v4(): string;
  export function v5(name: string, namespace: string): string;
  export function v7(time?: number): string;
  export function isUuid(value: unknown): boolean;
}

declare module 'base64' {
  export function encode(input: string | Uint8Array, options?: { url?: boolean }): string;
  export function decode(text: string): string;
  export function decodeBytes(text: string): Uint8Array;
}

declare module 'objects' {
  export function equal(a: unknown, b: unknown): boolean;
  export function merge(...sources: (object | null | undefined)[]): { [key: string]: any };
  export function pick(object: object | null | undefined, keys: string[]): { [key: string]: any };
  export function omit(object: object | null | undefined, keys: string[]): { [key: string]: any };
  export function get(object: unknown, path: string, fallback?: any): any;
}

declare module 'warehouseActionsUtils' {
  /** Builds an object of the JSON text of `[key, value]` pairs; pairs with a falsy value are left out. */
  export function rebuild_object(input_string: string | null | undefined): { [column: string]: any };
  /** Whether the new truth says anything that the old one does not. */
  export function compare_truths(new_truth: object | null | undefined, old_truth: object | null | undefined): boolean;
}

// --- tests: *.test.js, *.spec.ts, __tests__/*.js --------------------------------------------------------------------

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
      stack?: string; file?: string; line?: number; column?: number; help?: string;
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
  /** Runs it over several events at once, as `transformBatch` gets them; a verdict for each. */
  batch(events: readonly (object | string)[], options?: TransformOptions): Verdict[];
  /** Another transformation than the one that the test file is named after, e.g. `transform.of('./orders.js')`. */
  of(path: string): Transform;
}

/** What a test is called with; calling it ends a test whose parameter is called `done`. */
interface TestContext {
  (error?: unknown): void;
  fail(error?: unknown): void;
  readonly task: { readonly name: string; readonly fullName: string };
  readonly expect: Expect;
  skip(reason?: string): never;
  skip(condition: boolean, reason?: string): void;
  onTestFinished(act: () => unknown): void;
  onTestFailed(act: () => unknown): void;
}

type TestBody<Context = TestContext> = (context: Context) => unknown;

interface TestOptions {
  /** What the test may take, in milliseconds of CPU time. */
  timeout?: number;
  /** How often it is tried again when it fails. */
  retry?: number;
  /** How often it is run again when it passes. */
  repeats?: number;
  skip?: boolean;
  only?: boolean;
  todo?: boolean;
  fails?: boolean;
  concurrent?: boolean;
}

type RowOf<Row> = Row extends readonly any[] ? Row : [Row];

interface EachFunction {
  /** `%s`, `%d`, `%j` and `$key` in the name are replaced by the row's values. */
  <Row extends readonly any[] | [any]>(rows: readonly Row[]): (
    name: string, body: (...row: Row extends readonly any[] ? [...Row] : [Row]) => unknown, options?: number | TestOptions,
  ) => void;
  <Row>(rows: readonly Row[]): (name: string, body: (row: Row) => unknown, options?: number | TestOptions) => void;
  /** A table in a template: names between `|`, then the values. */
  (strings: TemplateStringsArray, ...values: any[]): (
    name: string, body: (row: any) => unknown, options?: number | TestOptions,
  ) => void;
}

type UseFixture<Value> = (value: Value) => Promise<void>;
type FixturesOf<Added, Context> = {
  [Name in keyof Added]: Added[Name] | ((context: Context & Added, use: UseFixture<Added[Name]>) => unknown)
    | [Added[Name] | ((context: Context & Added, use: UseFixture<Added[Name]>) => unknown), { auto?: boolean; scope?: string }];
};

interface TestFunction<Context = TestContext> {
  (name: string | Function, body?: TestBody<Context>, options?: number | TestOptions): void;
  (name: string | Function, options: TestOptions, body?: TestBody<Context>): void;
  readonly only: TestFunction<Context>;
  readonly skip: TestFunction<Context>;
  readonly todo: TestFunction<Context>;
  /** Tests run one after the other all the same. */
  readonly concurrent: TestFunction<Context>;
  readonly sequential: TestFunction<Context>;
  /** A test that is right when it fails. */
  readonly fails: TestFunction<Context>;
  readonly failing: TestFunction<Context>;
  skipIf(condition: unknown): TestFunction<Context>;
  runIf(condition: unknown): TestFunction<Context>;
  readonly each: EachFunction;
  for<Row>(rows: readonly Row[]): (
    name: string, body: (row: Row, context: Context) => unknown, options?: number | TestOptions,
  ) => void;
  /** The same with fixtures, which a test names in its first parameter: `test('…', ({ user }) => …)`. */
  extend<Added extends object>(fixtures: FixturesOf<Added, Context>): TestFunction<Context & Added>;
  /** One fixture: its value, or a function that returns it. */
  extend<Name extends string, Value>(
    name: Name,
    value: ((context: Context, tools: { onCleanup(act: () => unknown): void }) => Value | Promise<Value>) | (Value extends Procedure ? never : Value),
  ): TestFunction<Context & { [Key in Name]: Value }>;
  extend<Name extends string, Value>(
    name: Name, options: { auto?: boolean; scope?: string },
    value: ((context: Context, tools: { onCleanup(act: () => unknown): void }) => Value | Promise<Value>) | (Value extends Procedure ? never : Value),
  ): TestFunction<Context & { [Key in Name]: Value }>;
}

interface DescribeFunction {
  (name: string | Function, body?: () => void, options?: number | TestOptions): void;
  (name: string | Function, options: TestOptions, body?: () => void): void;
  readonly only: DescribeFunction;
  readonly skip: DescribeFunction;
  readonly todo: DescribeFunction;
  readonly concurrent: DescribeFunction;
  readonly sequential: DescribeFunction;
  readonly shuffle: DescribeFunction;
  skipIf(condition: unknown): DescribeFunction;
  runIf(condition: unknown): DescribeFunction;
  readonly each: EachFunction;
  for<Row>(rows: readonly Row[]): (name: string, body: (row: Row) => void, options?: number | TestOptions) => void;
}

/** May give back a function that is called when the test, or the group, is over. */
type HookFunction = (body: TestBody, timeout?: number) => void;

interface Asymmetric {
  /** Anything but null and undefined. */
  anything(): any;
  /** A value of this class: `String`, `Number`, `Array`, … */
  any(type: unknown): any;
  objectContaining(part: object): any;
  arrayContaining(part: readonly unknown[]): any;
  arrayOf(item: unknown): any;
  stringContaining(part: string): any;
  stringMatching(pattern: string | RegExp): any;
  closeTo(value: number, digits?: number): any;
}

interface Expect extends Asymmetric {
  (actual: unknown, message?: string): Matchers<void>;
  /** The test goes on after a failure, and fails in the end. */
  soft(actual: unknown, message?: string): Matchers<void>;
  not: Asymmetric;
  toBeOneOf(list: readonly unknown[]): any;
  /** How many assertions the test has to make. */
  assertions(count: number): void;
  hasAssertions(): void;
  /** Fails if it is called. */
  unreachable(message?: string): never;
  fail(message?: string): never;
  /** Adds matchers; `interface Matchers<Result> { toBeEven(): Result }` declares them. */
  extend(matchers: { [name: string]: CustomMatcher }): void;
  addEqualityTesters(testers: readonly ((a: unknown, b: unknown) => boolean | undefined)[]): void;
  /** Calls the function again until the matcher holds, while promises settle and faked timers run. Has to be awaited. */
  poll(body: () => unknown, options?: { timeout?: number; interval?: number; message?: string }): Matchers<Promise<void>>;
  getState(): { assertionCalls: number; currentTestName?: string; testPath?: string };
}

interface MatcherResult {
  pass: boolean;
  message: () => string;
  actual?: unknown;
  expected?: unknown;
}

type CustomMatcher = (
  this: { isNot: boolean; promise: string; equals(a: unknown, b: unknown): boolean; utils: { [name: string]: any } },
  received: any, ...expected: any[]
) => MatcherResult | Promise<MatcherResult>;

interface Matchers<Result> {
  not: Matchers<Result>;
  /** Of what the promise is fulfilled with. Has to be awaited. */
  resolves: Matchers<Promise<void>>;
  /** Of what the promise is rejected with. Has to be awaited. */
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
  toThrow(expected?: string | RegExp | Error | object | (new (...args: any[]) => any)): Result;
  toThrowError(expected?: string | RegExp | Error | object | (new (...args: any[]) => any)): Result;
  toBeCloseTo(value: number, digits?: number): Result;
  toBeGreaterThan(value: number | bigint): Result;
  toBeGreaterThanOrEqual(value: number | bigint): Result;
  toBeLessThan(value: number | bigint): Result;
  toBeLessThanOrEqual(value: number | bigint): Result;
  toBeTruthy(): Result;
  toBeFalsy(): Result;
  toBeNull(): Result;
  toBeNullable(): Result;
  toBeUndefined(): Result;
  toBeDefined(): Result;
  toBeNaN(): Result;
  toBeInstanceOf(type: abstract new (...args: any[]) => unknown): Result;
  toBeTypeOf(type: string): Result;
  toBeOneOf(list: readonly unknown[]): Result;
  toSatisfy(test: (value: any) => unknown, message?: string): Result;

  toMatchSnapshot(hint?: string): Result;
  toMatchSnapshot(shape: object, hint?: string): Result;
  toMatchInlineSnapshot(snapshot?: string): Result;
  toMatchInlineSnapshot(shape: object, snapshot?: string): Result;
  /** A snapshot in a file of its own. Has to be awaited. */
  toMatchFileSnapshot(path: string): Promise<void>;
  toThrowErrorMatchingSnapshot(hint?: string): Result;
  toThrowErrorMatchingInlineSnapshot(snapshot?: string): Result;

  // Of a mock function.
  toHaveBeenCalled(): Result;
  toHaveBeenCalledOnce(): Result;
  toHaveBeenCalledTimes(count: number): Result;
  toHaveBeenCalledWith(...args: unknown[]): Result;
  toHaveBeenLastCalledWith(...args: unknown[]): Result;
  toHaveBeenNthCalledWith(call: number, ...args: unknown[]): Result;
  toHaveBeenCalledExactlyOnceWith(...args: unknown[]): Result;
  toHaveBeenCalledBefore(other: Mock<any>): Result;
  toHaveBeenCalledAfter(other: Mock<any>): Result;
  toHaveReturned(): Result;
  toHaveReturnedTimes(count: number): Result;
  toHaveReturnedWith(value: unknown): Result;
  toHaveLastReturnedWith(value: unknown): Result;
  toHaveNthReturnedWith(call: number, value: unknown): Result;
  toHaveResolved(): Result;
  toHaveResolvedTimes(count: number): Result;
  toHaveResolvedWith(value: unknown): Result;
  toHaveLastResolvedWith(value: unknown): Result;
  toHaveNthResolvedWith(call: number, value: unknown): Result;
  toBeCalled(): Result;
  toBeCalledTimes(count: number): Result;
  toBeCalledWith(...args: unknown[]): Result;
  lastCalledWith(...args: unknown[]): Result;
  nthCalledWith(call: number, ...args: unknown[]): Result;
  toReturn(): Result;
  toReturnTimes(count: number): Result;
  toReturnWith(value: unknown): Result;
  lastReturnedWith(value: unknown): Result;
  nthReturnedWith(call: number, value: unknown): Result;

  /** A verdict, or all of a list: nothing goes out. */
  toBeDropped(): Result;
  /** A verdict: the event failed, with this kind, or with a message that matches. */
  toFailWith(expected?: FailureKind | RegExp | { kind?: FailureKind; name?: string; message?: string | RegExp }): Result;
  /** A verdict, or all of a list: exactly these events go out. One object stands for a list of one. */
  toEmit(expected: object | readonly object[]): Result;
}

// --- mock functions, spies, clock -----------------------------------------------------------------------------------

type Procedure = (...args: any[]) => any;

interface MockResult<Value> {
  type: 'return' | 'throw' | 'incomplete';
  value: Value;
}

interface MockState<Act extends Procedure> {
  calls: Parameters<Act>[];
  lastCall: Parameters<Act> | undefined;
  results: MockResult<ReturnType<Act>>[];
  settledResults: { type: 'fulfilled' | 'rejected' | 'incomplete'; value: any }[];
  instances: any[];
  contexts: any[];
  invocationCallOrder: number[];
}

interface MockInstance<Act extends Procedure = Procedure> {
  readonly mock: MockState<Act>;
  getMockName(): string;
  mockName(name: string): this;
  getMockImplementation(): Act | undefined;
  mockImplementation(act: Act): this;
  mockImplementationOnce(act: Act): this;
  withImplementation(act: Act, body: () => unknown): any;
  mockReturnThis(): this;
  mockReturnValue(value: ReturnType<Act>): this;
  mockReturnValueOnce(value: ReturnType<Act>): this;
  mockResolvedValue(value: Awaited<ReturnType<Act>>): this;
  mockResolvedValueOnce(value: Awaited<ReturnType<Act>>): this;
  mockRejectedValue(error: unknown): this;
  mockRejectedValueOnce(error: unknown): this;
  mockThrow(error: unknown): this;
  mockThrowOnce(error: unknown): this;
  mockClear(): this;
  mockReset(): this;
  mockRestore(): void;
}

interface Mock<Act extends Procedure = Procedure> extends MockInstance<Act> {
  (...args: Parameters<Act>): ReturnType<Act>;
  new (...args: Parameters<Act>): any;
}

type Mocked<Value> = {
  [Key in keyof Value]: Value[Key] extends Procedure ? Value[Key] & MockInstance<Value[Key]> : Value[Key];
} & Value;
type MockedFunction<Act extends Procedure> = Act & MockInstance<Act>;

interface TestClock<Self> {
  /** `Date` stands still, and timers are there; `transform` runs at the same time. */
  useFakeTimers(options?: { now?: number | string | Date; toFake?: string[] }): Self;
  useRealTimers(): Self;
  setSystemTime(time?: number | string | Date): Self;
  getRealSystemTime(): number;
  isFakeTimers(): boolean;
  advanceTimersByTime(milliseconds: number): Self;
  advanceTimersByTimeAsync(milliseconds: number): Promise<Self>;
  advanceTimersToNextTimer(steps?: number): Self;
  advanceTimersToNextTimerAsync(steps?: number): Promise<Self>;
  runAllTimers(): Self;
  runAllTimersAsync(): Promise<Self>;
  runOnlyPendingTimers(): Self;
  runOnlyPendingTimersAsync(): Promise<Self>;
  runAllTicks(): Self;
  clearAllTimers(): Self;
  getTimerCount(): number;
}

interface TestTools<Self> extends TestClock<Self> {
  fn<Act extends Procedure = Procedure>(act?: Act): Mock<Act>;
  fn<Type extends new (...args: any[]) => any>(type: Type): Type & MockInstance;
  spyOn<Of extends object, Key extends keyof Of>(object: Of, key: Key, accessor: 'get' | 'set'): Mock<Procedure>;
  spyOn<Of extends object, Key extends keyof Of>(
    object: Of, key: Key,
  ): Of[Key] extends Procedure ? Mock<Of[Key]> : Mock<Procedure>;
  isMockFunction(value: unknown): value is Mock;
  mocked<Value>(value: Value, deep?: unknown): Value extends Procedure ? MockedFunction<Value> : Mocked<Value>;
  clearAllMocks(): Self;
  resetAllMocks(): Self;
  restoreAllMocks(): Self;
}

/** As in Vitest. */
interface Vi extends TestTools<Vi> {
  getMockedSystemTime(): Date | null;
  mockObject<Value>(value: Value): Mocked<Value>;
  stubGlobal(name: string, value: unknown): Vi;
  unstubAllGlobals(): Vi;
  hoisted<Value>(make: () => Value): Value;
  waitFor<Value>(body: () => Value | Promise<Value>, options?: unknown): Promise<Value>;
  waitUntil<Value>(body: () => Value | Promise<Value>, options?: unknown): Promise<Value>;
  setConfig(config: { testTimeout?: number }): void;
  resetConfig(): void;
  resetModules(): Vi;
}

/** As in Jest. */
interface Jest extends TestTools<Jest> {
  now(): number;
  replaceProperty<Of extends object, Key extends keyof Of>(
    object: Of, key: Key, value: Of[Key],
  ): { replaceValue(value: Of[Key]): unknown; restore(): void };
  setTimeout(milliseconds: number): Jest;
  retryTimes(times: number): Jest;
  resetModules(): Jest;
}

/** `assert(value)`, and Chai's and Node's assertions by their names. */
interface Assert {
  (value: unknown, message?: string | Error): asserts value;
  [name: string]: (...args: any[]) => any;
}

/** What `expectTypeOf` gives has all of its names again. Vitest's own package compares types; here they are read over. */
type TypeExpectation = (<Type = unknown>(...values: any[]) => TypeExpectation) & {
  readonly [Name in
    | 'not' | 'branded' | 'returns' | 'resolves' | 'items' | 'parameters' | 'constructorParameters' | 'thisParameter' | 'instance'
    | 'guards' | 'asserts' | 'parameter' | 'extract' | 'exclude' | 'pick' | 'omit' | 'map' | 'toEqualTypeOf' | 'toMatchTypeOf'
    | 'toExtend' | 'toMatchObjectType' | 'toHaveProperty' | 'toBeCallableWith' | 'toBeConstructibleWith' | 'toBeAny' | 'toBeUnknown'
    | 'toBeNever' | 'toBeFunction' | 'toBeObject' | 'toBeArray' | 'toBeString' | 'toBeNumber' | 'toBeBigInt' | 'toBeBoolean'
    | 'toBeVoid' | 'toBeSymbol' | 'toBeNull' | 'toBeUndefined' | 'toBeNullable']: TypeExpectation;
};

declare var transform: Transform;
declare var test: TestFunction;
declare var it: TestFunction;
declare var xit: TestFunction;
declare var xtest: TestFunction;
declare var fit: TestFunction;
declare var describe: DescribeFunction;
declare var suite: DescribeFunction;
declare var xdescribe: DescribeFunction;
declare var fdescribe: DescribeFunction;
declare var beforeEach: HookFunction;
declare var afterEach: HookFunction;
declare var beforeAll: HookFunction;
declare var afterAll: HookFunction;
declare var onTestFinished: (act: () => unknown) => void;
declare var onTestFailed: (act: () => unknown) => void;
declare var expect: Expect;
declare var assert: Assert;
/** Does nothing when the test runs, and any type is right for it. */
declare var expectTypeOf: TypeExpectation;
declare var assertType: <Type>(value: Type) => void;
declare var vi: Vi;
declare var vitest: Vi;
declare var jest: Jest;

// The same by import, under our name and under those that fingers know.
declare module 'sluicegate' {
  const tools: {
    transform: Transform; test: TestFunction; describe: DescribeFunction; hook: HookFunction; expect: Expect; assert: Assert;
    vi: Vi; jest: Jest; late: (act: () => unknown) => void;
    assertType: <Type>(value: Type) => void;
  };
  export const transform: typeof tools.transform;
  export const test: typeof tools.test;
  export const it: typeof tools.test;
  export const xit: typeof tools.test;
  export const xtest: typeof tools.test;
  export const fit: typeof tools.test;
  export const describe: typeof tools.describe;
  export const suite: typeof tools.describe;
  export const xdescribe: typeof tools.describe;
  export const fdescribe: typeof tools.describe;
  export const beforeEach: typeof tools.hook;
  export const afterEach: typeof tools.hook;
  export const beforeAll: typeof tools.hook;
  export const afterAll: typeof tools.hook;
  export const onTestFinished: typeof tools.late;
  export const onTestFailed: typeof tools.late;
  export const expect: typeof tools.expect;
  export const assert: Assert;
  export const expectTypeOf: TypeExpectation;
  export const assertType: typeof tools.assertType;
  export const vi: typeof tools.vi;
  export const vitest: typeof tools.vi;
  export const jest: typeof tools.jest;
  type OwnMock<Act extends Procedure = Procedure> = Mock<Act>;
  type OwnMockInstance<Act extends Procedure = Procedure> = MockInstance<Act>;
  type OwnMocked<Value> = Mocked<Value>;
  type OwnMockedFunction<Act extends Procedure> = MockedFunction<Act>;
  type OwnTestContext = TestContext;
  type OwnVerdict = Verdict;
  export {
    OwnMock as Mock, OwnMockInstance as MockInstance, OwnMocked as Mocked, OwnMockedFunction as MockedFunction,
    OwnTestContext as TestContext, OwnVerdict as Verdict,
  };
}
declare module 'vitest' {
  export * from 'sluicegate';
}
declare module '@jest/globals' {
  export * from 'sluicegate';
}

/** Data by import: `import events from './events.jsonl' with { type: 'jsonl' }`. */
declare module '*.jsonl' {
  const events: any[];
  export default events;
}
declare module '*.txt' {
  const text: string;
  export default text;
}
declare module '*.csv' {
  const text: string;
  export default text;
}
