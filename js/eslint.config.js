import js from '@eslint/js';
import globals from 'globals';

/** Names of the author's isolate that the scripts may use. */
const isolate = { ...globals.es2026, console: false };

const rules = {
  ...js.configs.recommended.rules,
  eqeqeq: 'error',
  'no-shadow': 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  'no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }],
  'no-implicit-globals': 'error',
};

export default [
  // A test file to fill in, and a function that the inspector is sent as text: neither is a script of its own.
  { ignores: ['**/node_modules/**', '**/*.d.ts', 'play/codemirror.js', 'testing/template.js', 'testing/variables.js'] },
  { files: ['eslint.config.js', 'lib/**'], languageOptions: { sourceType: 'module', globals: { ...isolate, log: false, TextEncoder: false, TextDecoder: false, crypto: false } }, rules },
  // Each is one expression, which the engine puts into a script of its own.
  { files: ['runtime/**', 'testing/**', 'web/**'], languageOptions: { sourceType: 'script', globals: isolate }, rules },
  // The module in front of the author's; `host` is declared before it.
  { files: ['lineage/**'], languageOptions: { sourceType: 'module', globals: { ...isolate, host: false } }, rules },
  { files: ['play/**', 'editor/**'], languageOptions: { sourceType: 'module', globals: globals.browser }, rules },
];
