// Colours for JavaScript, TypeScript and JSON. Not a parser: it has to be right for code that is whole, and not
// foolish for code that is being typed.

const set = (words) => new Set(words.split(' '));
const KEYWORDS = set('as async await break case catch class const continue debugger default delete do else export extends '
  + 'finally for from function get if import in instanceof let new of return set static super switch this throw try typeof '
  + 'using var void while with yield');
const TYPE_WORDS = set('abstract declare enum implements interface is keyof namespace private protected public readonly '
  + 'satisfies type unique any boolean never number object string symbol unknown bigint');
const LITERALS = set('true false null undefined NaN Infinity');
/** Words that are keywords only where no name can stand. */
const SOFT = set('as async from get of set static using');
/** After these an expression begins, so a slash begins a pattern. */
const BEFORE_PATTERN = set('return typeof case do else in instanceof new void delete throw await yield of =>');

const TOKEN = new RegExp([
  /(?<space>[^\S\n]+)/,
  /(?<comment>\/\/[^\n]*|\/\*[^]*?(?:\*\/|$))/,
  /(?<string>'(?:[^'\\\n]|\\[^])*'?|"(?:[^"\\\n]|\\[^])*"?)/,
  /(?<number>(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?)n?)/,
  /(?<name>[\p{ID_Start}$_#@][\p{ID_Continue}$]*)/u,
  /(?<sign>=>|\?\.|[^])/,
].map((part) => part.source).join('|'), 'yu');
const PATTERN = /\/(?![*/])(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE = /(?:[^\\`$]|\\[^]|\$(?!\{))*/y;

/** Lines of [class, text] pairs. */
export const highlight = (text, language) => {
  const found = language === 'json' ? json(text) : script(text, language === 'typescript');
  const lines = [[]];
  for (const [kind, token] of found) {
    token.split('\n').forEach((part, index) => {
      if (index > 0) lines.push([]);
      if (part === '') return;
      const line = lines.at(-1);
      // Neighbours of one colour are one element.
      if (line.length > 0 && line.at(-1)[0] === kind) line.at(-1)[1] += part;
      else line.push([kind, part]);
    });
  }
  return lines;
};

function* json(text) {
  const token = /"(?:[^"\\\n]|\\.)*"?|-?\d[\d.eE+-]*|[a-z]+|[^"\da-z-]+|-/y;
  const colon = /\s*:/y;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [part] = match;
    colon.lastIndex = token.lastIndex;
    if (part[0] === '"') yield [colon.test(text) ? 'key' : 'string', part];
    else if (/[-\d]/.test(part[0])) yield ['number', part];
    else yield [LITERALS.has(part) ? 'literal' : '', part];
  }
}

function* script(text, typed) {
  let at = 0;
  /** How many braces are open inside each `${`. */
  const templates = [];
  let before = '';
  const take = (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  const template = () => {
    const [part] = take(TEMPLATE);
    if (text.startsWith('${', at)) {
      templates.push(0);
      at += 2;
      before = '{';
      return [['string', part], ['sign', '${']];
    }
    const end = text[at] === '`' ? '`' : '';
    at += end.length;
    before = '`';
    return [['string', part + end]];
  };
  while (at < text.length) {
    if (text[at] === '`') {
      at++;
      yield ['string', '`'];
      yield* template();
      continue;
    }
    if (text[at] === '}' && templates.at(-1) === 0) {
      templates.pop();
      at++;
      yield ['sign', '}'];
      yield* template();
      continue;
    }
    const canBePattern = before === '' || BEFORE_PATTERN.has(before) || /[([{,;=:?!&|+\-*%<>~^}]$/.test(before);
    if (text[at] === '/' && canBePattern) {
      const match = take(PATTERN);
      if (match !== null) {
        before = '/';
        yield ['pattern', match[0]];
        continue;
      }
    }
    const { groups, 0: token } = take(TOKEN);
    if (groups.space !== undefined || token === '\n') {
      yield ['', token];
      continue;
    }
    if (groups.comment !== undefined) {
      yield ['comment', token];
      continue;
    }
    if (groups.name !== undefined) yield [nameKind(text, at, token, before, typed), token];
    else if (groups.string !== undefined) yield ['string', token];
    else if (groups.number !== undefined) yield ['number', token];
    else {
      if (templates.length > 0 && token === '{') templates[templates.length - 1]++;
      if (templates.length > 0 && token === '}') templates[templates.length - 1]--;
      yield ['sign', token];
    }
    before = token;
  }
}

const nameKind = (text, end, name, before, typed) => {
  const next = /^\s*(.?.?)/.exec(text.slice(end, end + 40))[1];
  const member = before === '.' || before === '?.';
  const soft = SOFT.has(name) || TYPE_WORDS.has(name);
  const named = next[0] === ':' || next[0] === ',' || next[0] === ')' || next[0] === '=' || next[0] === '.' || next[0] === ';';
  if (!member && KEYWORDS.has(name) && !(soft && (named || next[0] === '('))) return 'keyword';
  if (!member && LITERALS.has(name)) return 'literal';
  if (!member && typed && TYPE_WORDS.has(name) && (before === ':' || before === '|' || before === '<' || !named)) return 'type';
  if (next[0] === '(') return 'function';
  if (member || (next[0] === ':' && (before === '{' || before === ','))) return 'property';
  return /^[A-Z][a-z]/.test(name) ? 'type' : 'name';
};
