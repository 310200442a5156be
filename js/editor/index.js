// The exports of CodeMirror that the playground's editor uses. `scripts/editor` bundles them into
// `js/play/codemirror.js`.
export { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
export { defaultKeymap, history, historyKeymap, indentLess, indentMore } from '@codemirror/commands';
export { javascript, localCompletionSource } from '@codemirror/lang-javascript';
export { json } from '@codemirror/lang-json';
export {
  bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting, syntaxTree,
} from '@codemirror/language';
export { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
export { EditorState, Prec, RangeSet, StateEffect, StateField } from '@codemirror/state';
export {
  Decoration, drawSelection, EditorView, gutterLineClass, GutterMarker, highlightSpecialChars, keymap,
  lineNumbers, WidgetType,
} from '@codemirror/view';
export { tags } from '@lezer/highlight';
