// A flat config for transformations and their tests: declares the globals that exist.
//
//   import sluicegate from 'sluicegate/eslint';
//   export default [sluicegate];
const names = (text) => Object.fromEntries(text.split(' ').map((name) => [name, 'readonly']));

export default {
  name: 'sluicegate',
  files: ['**/*.js', '**/*.mjs', '**/*.ts', '**/*.mts'],
  languageOptions: {
    ecmaVersion: 'latest',
    sourceType: 'module',
    globals: names(
      'log console getCredential fetch fetchV2 geolocation URL URLSearchParams TextEncoder TextDecoder atob btoa structuredClone crypto'
        + ' DOMException test it describe expect transform vi jest beforeEach afterEach beforeAll afterAll',
    ),
  },
};
