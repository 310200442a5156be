import js from '@eslint/js';

const readonly = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

// What the sandbox has beside the language itself; `sluicegate.d.ts` describes it.
const sandbox = readonly([
  'log', 'console', 'getCredential', 'fetch', 'fetchV2', 'geolocation', 'URL', 'URLSearchParams', 'TextEncoder',
  'TextDecoder', 'atob', 'btoa', 'structuredClone', 'crypto',
]);
const testing = readonly([
  'transform', 'test', 'it', 'describe', 'suite', 'beforeEach', 'afterEach', 'beforeAll', 'afterAll', 'expect', 'assert',
  'vi', 'jest',
]);

export default [
  { ignores: ['sluicegate.d.ts'] },
  js.configs.recommended,
  { languageOptions: { globals: sandbox } },
  { files: ['test/**', '**/*.{test,spec}.*'], languageOptions: { globals: testing } },
];
