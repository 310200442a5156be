// The completions of the code editors: functions that the code can call, fields of the current event, and exports of
// libraries. They come from the text, not from types: they must be correct for common code, and empty for other code.
import { localCompletionSource } from './codemirror.js';

const option = (type, detail = undefined) => (label) => ({ label, type, detail });
const words = (text) => text.split(' ');
const KEYWORDS = words('async await break case catch class const continue default delete do else export false finally for function if '
  + 'import in instanceof let new null of return switch this throw true try typeof undefined while').map(option('keyword'));
const OWN = [
  ['log', '(...values)'], ['getCredential', '(key)'], ['fetch', '(url, options)'], ['fetchV2', '(url, options)'], ['geolocation', '(ip)'],
].map(([label, detail]) => ({ label, detail, type: 'function', boost: 2 }));
const BUILT_IN = [
  ...words('Array BigInt Boolean Date Error Intl JSON Map Math Number Object Promise Proxy RangeError Reflect RegExp Set String Symbol '
    + 'TextDecoder TextEncoder TypeError URL URLSearchParams WeakMap').map(option('class')),
  ...words('atob btoa console crypto decodeURIComponent encodeURIComponent isNaN parseFloat parseInt structuredClone').map(option('function')),
];
const OF_TESTS = words('afterAll afterEach assert beforeAll beforeEach describe expect it test transform vi').map(option('function'));
/** Built-ins that are the same in the engine: their members are listed from the page's own objects. */
const WITH_MEMBERS = /(?:^|[^\w$.])(Array|BigInt|console|crypto|Date|JSON|Math|Number|Object|Promise|Reflect|String|Symbol|URL)\.([\w$]*)$/;

const membersOf = (object) => Object.getOwnPropertyNames(object)
  .filter((name) => /^[a-zA-Z]\w*$/.test(name) && !words('constructor prototype caller callee arguments').includes(name))
  .map((name) => option(typeof Reflect.getOwnPropertyDescriptor(object, name)?.value === 'function' ? 'method' : 'property')(name));

const shown = (value) => {
  if (Array.isArray(value)) return `[${value.length}]`;
  if (typeof value === 'object' && value !== null) return '{…}';
  const text = JSON.stringify(value);
  return text.length > 24 ? `${text.slice(0, 23)}…` : text;
};

// --- fields of the event --------------------------------------------------------------------------------------------

const NAME = '[\\p{ID_Start}$_][\\p{ID_Continue}$]*';
const PATH = `${NAME}(?:\\s*\\??\\.\\s*${NAME}|\\??\\.?\\[[^\\][]*\\])*`;
const STEP = new RegExp(`\\??\\.?\\[([^\\][]*)\\]|\\??\\.\\s*(${NAME})`, 'gu');

/** The values at a path of fields, from the values of its root. */
const follow = (values, path) => {
  let found = values;
  for (const [, index, name] of path.matchAll(STEP)) {
    const key = name ?? /^\s*['"](.*)['"]\s*$/.exec(index)?.[1];
    found = found.flatMap((value) => {
      if (typeof value !== 'object' || value === null) return [];
      if (key === undefined) return Array.isArray(value) ? value : Object.values(value);
      return Object.hasOwn(value, key) ? [value[key]] : [];
    });
  }
  return found;
};

/**
 * The names that refer to the event or a part of it: the parameter, and variables that are assigned, destructured or
 * iterated.
 */
const named = (code, events, metadata) => {
  const found = new Map([['event', events]]);
  const parameter = new RegExp(`transformEvent\\s*(?:=\\s*(?:async\\s*)?)?\\(?\\s*(${NAME})`, 'u').exec(code)?.[1];
  if (parameter !== undefined) found.set(parameter, events);
  const valuesOf = (path) => {
    const text = path.trim();
    if (/^metadata\s*\(/.test(text)) return metadata;
    const [root] = new RegExp(`^${NAME}`, 'u').exec(text) ?? [''];
    return found.has(root) ? follow(found.get(root), text.slice(root.length)) : [];
  };
  const bind = (name, values) => {
    if (values.length > 0 && !found.has(name)) found.set(name, values);
  };
  const assigned = new RegExp(`(?:const|let|var)\\s+(${NAME}|\\{[^{}]*\\})\\s*=\\s*(${PATH}(?:\\([^()]*\\))?)`, 'gu');
  const through = new RegExp(`(?:const|let|var)\\s+(${NAME}|\\{[^{}]*\\})\\s+of\\s+(${PATH})`, 'gu');
  const called = new RegExp(`(${PATH})\\s*\\??\\.\\s*(?:map|forEach|filter|find|findIndex|flatMap|some|every)\\(\\s*\\(?\\s*(${NAME}|\\{[^{}]*\\})`, 'gu');
  const parts = new RegExp(`(${NAME})(?:\\s*:\\s*(${NAME}))?`, 'gu');
  const take = (target, values) => {
    if (!target.startsWith('{')) bind(target, values);
    else for (const [, key, name] of target.replaceAll(/=[^,}]*/g, '').matchAll(parts)) bind(name ?? key, follow(values, `.${key}`));
  };
  for (const [, target, path] of code.matchAll(assigned)) take(target, valuesOf(path));
  for (const [, target, path] of code.matchAll(through)) take(target, valuesOf(path).flat());
  for (const [, path, target] of code.matchAll(called)) take(target, valuesOf(path).flat());
  return valuesOf;
};

const keysOf = (values) => {
  const found = new Map();
  for (const value of values) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) continue;
    for (const [key, inner] of Object.entries(value)) if (!found.has(key)) found.set(key, inner);
  }
  return [...found].map(([label, value]) => ({ label, type: 'property', detail: shown(value), boost: 3 }));
};

const isName = new RegExp(`^${NAME}$`, 'u');
/** Keys after a dot; keys that are not names are written in brackets. */
const afterDot = (keys, dot) => keys.map((one) => (isName.test(one.label) ? one : {
  ...one,
  apply: (view, _, from, to) => view.dispatch({ changes: { from: from - dot, to, insert: `${dot === 2 ? '?.' : ''}[${JSON.stringify(one.label)}]` } }),
}));

const methodsOf = (values) => {
  const [value] = values;
  if (typeof value === 'string') return membersOf(String.prototype);
  if (typeof value === 'number') return membersOf(Number.prototype);
  return Array.isArray(value) ? membersOf(Array.prototype) : [];
};

/** The fields of the expression before the dot, or of the destructured value. */
const fields = (context, { events, metadata }) => {
  const before = context.state.sliceDoc(0, context.pos);
  const code = context.state.doc.toString();
  const metadataOf = [metadata()];
  const dotted = new RegExp(`(${PATH}|metadata\\([^()]*\\)(?:\\??\\.${NAME})*)\\s*(\\??\\.)\\s*([\\p{ID_Continue}$]*)$`, 'u').exec(before.slice(-400));
  if (dotted !== null) {
    const [, path, dot, typed] = dotted;
    const values = path.startsWith('metadata(')
      ? follow(metadataOf, path.slice(path.indexOf(')') + 1)) : named(code, events(), metadataOf)(path);
    const options = [...afterDot(keysOf(values), dot.length), ...methodsOf(values)];
    return options.length === 0 ? null : { from: context.pos - typed.length, options, validFor: /^[\p{ID_Continue}$]*$/u };
  }
  const apart = /(?:const|let|var)\s*\{([^{}=;]*)$/.exec(before);
  const source = new RegExp(`^[^{}]*\\}\\s*=\\s*(${PATH})`, 'u').exec(context.state.sliceDoc(context.pos));
  if (apart === null || source === null) return null;
  const typed = /[\p{ID_Continue}$]*$/u.exec(apart[1])[0];
  const options = keysOf(named(code, events(), metadataOf)(source[1])).filter(({ label }) => isName.test(label));
  return options.length === 0 ? null : { from: context.pos - typed.length, options, validFor: /^[\p{ID_Continue}$]*$/u };
};

// --- libraries ------------------------------------------------------------------------------------------------------

/** The exports of a module, from its text. */
export const exportsOf = (code) => {
  const found = [...code.matchAll(/export\s+(?:async\s+)?(?:const|let|var|function\s*\*?|class)\s+([\p{ID_Start}$_][\p{ID_Continue}$]*)/gu)].map(([, name]) => name);
  for (const [, list] of code.matchAll(/export\s*\{([^}]*)\}/g)) {
    found.push(...list.split(',').map((part) => part.trim().split(/\s+as\s+/).at(-1)).filter((name) => isName.test(name)));
  }
  return [...new Set(found)];
};

const imports = (context, { libraries }) => {
  const before = context.state.sliceDoc(Math.max(0, context.pos - 600), context.pos);
  const handle = /\b(?:from|import)\s*(['"])([^'"\n]*)$/.exec(before);
  if (handle !== null) {
    const options = [...libraries().keys()].map(option('namespace'));
    return { from: context.pos - handle[2].length, options, validFor: /^[^'"\n]*$/ };
  }
  const list = /\bimport\s*\{([^}]*)$/.exec(before);
  if (list === null) return null;
  const typed = /[\p{ID_Continue}$]*$/u.exec(list[1])[0];
  const from = /^[^}]*\}\s*from\s*['"]([^'"\n]*)['"]/.exec(context.state.sliceDoc(context.pos))?.[1];
  const exported = [...libraries()].filter(([name]) => from === undefined || name === from)
    .flatMap(([name, all]) => all.map((label) => ({ label, type: 'function', detail: name })));
  return exported.length === 0 ? null : { from: context.pos - typed.length, options: exported, validFor: /^[\p{ID_Continue}$]*$/u };
};

/** A completion that also adds its import. */
const known = ({ libraries }) => [...libraries()].flatMap(([handle, names]) => names.map((label) => ({
  label, type: 'function', detail: `from '${handle}'`, boost: -1,
  apply: (view, _, from, to) => {
    const line = `import { ${label} } from '${handle}';\n`;
    const there = new RegExp(`import\\s*\\{[^}]*\\b${label}\\b[^}]*\\}\\s*from`).test(view.state.doc.toString());
    view.dispatch({
      changes: [...(there ? [] : [{ from: 0, insert: line }]), { from, to, insert: label }],
      selection: { anchor: from + label.length + (there ? 0 : line.length) },
    });
  },
})));

// --- all completions ------------------------------------------------------------------------------------------------

/** Sources of completions for code. `about` provides `events()`, `metadata()` and `libraries()` (name → exports). */
export const completions = (about, isTest) => {
  const source = (context) => {
    const inside = imports(context, about) ?? fields(context, about);
    if (inside !== null) return inside;
    const lately = context.state.sliceDoc(Math.max(0, context.pos - 200), context.pos);
    const member = WITH_MEMBERS.exec(lately);
    if (member !== null) {
      const object = globalThis[member[1]];
      return { from: context.pos - member[2].length, options: membersOf(object), validFor: /^\w*$/ };
    }
    const typed = /[\p{ID_Continue}$]*$/u.exec(lately)[0];
    const isValue = lately.at(-typed.length - 1) !== '.';
    if (!isValue || (typed === '' && !context.explicit) || /^\d/.test(typed)) return null;
    const options = [...OWN, ...(isTest ? OF_TESTS : []), ...known(about), ...BUILT_IN, ...KEYWORDS];
    return { from: context.pos - typed.length, options, validFor: /^[\p{ID_Continue}$]*$/u };
  };
  // Nothing is offered inside comments, nor in strings other than names of libraries.
  return [source, localCompletionSource].map((offer) => (context) => {
    const inText = context.tokenBefore(['LineComment', 'BlockComment', 'String', 'TemplateString', 'RegExp']);
    return inText !== null && (offer !== source || imports(context, about) === null) ? null : offer(context);
  });
};
