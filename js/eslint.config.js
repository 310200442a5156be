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
  // A template for a test file, and a function that is sent to the inspector as text: neither is a complete script.
  { ignores: ['**/node_modules/**', '**/*.d.ts', 'play/codemirror.js', 'testing/template.js', 'testing/variables.js'] },
  { files: ['eslint.config.js', 'lib/**'], languageOptions: { sourceType: 'module', globals: { ...isolate, log: false, TextEncoder: false, TextDecoder: false, crypto: false } }, rules },
  // Each file is one expression, which the engine compiles as a separate script.
  { files: ['runtime/**', 'testing/**', 'web/**'], languageOptions: { sourceType: 'script', globals: isolate }, rules },
  // The module that is loaded before the author's. The engine declares `host` in front of it.
  { files: ['lineage/**'], languageOptions: { sourceType: 'module', globals: { ...isolate, host: false } }, rules },
  { files: ['play/**', 'editor/**'], languageOptions: { sourceType: 'module', globals: globals.browser }, rules },
];
