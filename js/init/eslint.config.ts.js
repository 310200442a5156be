import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

// `tsc --noEmit` finds names that are not there; `sluicegate.d.ts` describes what the sandbox has.
export default defineConfig(
  { ignores: ['sluicegate.d.ts', 'eslint.config.js'] },
  js.configs.recommended,
  tseslint.configs.recommended,
);
