//! The scripts of `js/testing`, and the modules through which a test imports their functions.

use crate::v8::modules::{Module, NotFound};

/// All of `js/testing` as one script: a function of `host`, see `main.js`.
pub(super) const SCRIPTS: &str = concat!(
    "'use strict';(host) => (",
    include_str!("../../js/testing/main.js"),
    ")(host, { print: (",
    include_str!("../../js/testing/print.js"),
    "), pretty: (",
    include_str!("../../js/testing/pretty.js"),
    "), lines: (",
    include_str!("../../js/testing/lines.js"),
    "), logging: (",
    include_str!("../../js/testing/logging.js"),
    "), clock: (",
    include_str!("../../js/testing/clock.js"),
    "), waiting: (",
    include_str!("../../js/testing/waiting.js"),
    "), equal: (",
    include_str!("../../js/testing/equal.js"),
    "), snapshot: (",
    include_str!("../../js/testing/snapshot.js"),
    "), nearest: (",
    include_str!("../../js/testing/nearest.js"),
    "), mock: (",
    include_str!("../../js/testing/mock.js"),
    "), vi: (",
    include_str!("../../js/testing/vi.js"),
    "), matchers: (",
    include_str!("../../js/testing/matchers.js"),
    "), matchersVerdict: (",
    include_str!("../../js/testing/matchers_verdict.js"),
    "), matchersMock: (",
    include_str!("../../js/testing/matchers_mock.js"),
    "), asymmetric: (",
    include_str!("../../js/testing/asymmetric.js"),
    "), expect: (",
    include_str!("../../js/testing/expect.js"),
    "), assert: (",
    include_str!("../../js/testing/assert.js"),
    "), rows: (",
    include_str!("../../js/testing/rows.js"),
    "), fixtures: (",
    include_str!("../../js/testing/fixtures.js"),
    "), collect: (",
    include_str!("../../js/testing/collect.js"),
    "), run: (",
    include_str!("../../js/testing/run.js"),
    "), hints: (",
    include_str!("../../js/testing/hints.js"),
    "), fetch: (",
    include_str!("../../js/testing/fetch.js"),
    "), transform: (",
    include_str!("../../js/testing/transform.js"),
    "), cases: (",
    include_str!("../../js/testing/cases.js"),
    "), log: (",
    include_str!("../../js/runtime/log.js"),
    "), web: (",
    include_str!("../../js/runtime/web.js"),
    "), builtIns: (",
    include_str!("../../js/runtime/built_ins.js"),
    "), lockdown: (",
    include_str!("../../js/runtime/lockdown.js"),
    ") })",
);

/// The module behind [`NAMES`]. It also exports the types that a test may import without `type`, as `undefined`:
/// removing types leaves such an import in place.
const API: &str = "\
export const {
  test, it, describe, suite, xit, xtest, fit, xdescribe, fdescribe, beforeEach, afterEach, beforeAll, afterAll,
  onTestFinished, onTestFailed, expect, assert, expectTypeOf, assertType, vi, vitest, jest, transform,
} = globalThis['sluicegate:api'];
export let Mock, MockInstance, Mocked, MockedFunction, MockedObject, MockedClass, TestContext, TestAPI, SuiteAPI, Assertion,
  AsymmetricMatchersContaining, ExpectStatic, SpyInstance, Verdict, Transform, TransformOptions;
";

/// The names under which a test can import the API: the project's own, and those of common test runners.
const NAMES: &[&str] = &["sluicegate", "vitest", "@jest/globals"];

/// Other testing libraries, and what to use instead.
const OTHERS: &[(&str, &str)] = &[
    ("node:test", "import { test, expect } from 'vitest', or use the globals"),
    ("bun:test", "import { test, expect } from 'vitest', or use the globals"),
    ("mocha", "import { describe, it } from 'vitest', or use the globals"),
    ("chai", "import { assert, expect } from 'vitest', or use the globals"),
    ("sinon", "vi.fn() and vi.spyOn() are globals"),
    ("node:assert", "import { assert } from 'vitest', or use the global"),
    ("node:assert/strict", "import { assert } from 'vitest', or use the global"),
    ("assert", "import { assert } from 'vitest', or use the global"),
    ("node:fs", "import a file: import data from './data.json' with { type: 'json' }"),
    ("fs", "import a file: import data from './data.json' with { type: 'json' }"),
    ("node:fs/promises", "import a file: import data from './data.json' with { type: 'json' }"),
    ("node:path", "import a file: import data from './data.json' with { type: 'json' }"),
    ("path", "import a file: import data from './data.json' with { type: 'json' }"),
    ("@vitest/expect", "import { expect } from 'vitest', or use the global"),
    ("jest", "import { jest } from '@jest/globals', or use the global"),
    ("msw", "transform(event, { fetch: { 'https://…': { body: {} } } }) answers what the transformation asks"),
    ("msw/node", "transform(event, { fetch: { 'https://…': { body: {} } } }) answers what the transformation asks"),
    ("nock", "transform(event, { fetch: { 'https://…': { body: {} } } }) answers what the transformation asks"),
];

/// The module of the test API, if `specifier` names it.
pub(super) fn find(specifier: &str) -> Option<Result<Module, NotFound>> {
    if NAMES.contains(&specifier) {
        return Some(Ok(Module { name: "sluicegate:api".to_owned(), code: API.to_owned() }));
    }
    let (_, instead) = OTHERS.iter().find(|(name, _)| *name == specifier)?;
    let message =
        format!("import from {specifier} failed. Tests run in the engine of production, which has no such module");
    Some(Err(NotFound { message, help: Some((*instead).to_owned()) }))
}
