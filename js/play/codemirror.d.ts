// The bundle is CodeMirror's own code; its types are not part of the check of the page.
declare const anything: any;
export {
  anything as Decoration, anything as EditorState, anything as EditorView, anything as GutterMarker, anything as HighlightStyle,
  anything as Prec, anything as RangeSet, anything as StateEffect, anything as StateField, anything as WidgetType,
  anything as acceptCompletion, anything as autocompletion, anything as bracketMatching, anything as closeBrackets,
  anything as closeBracketsKeymap, anything as completionKeymap, anything as defaultKeymap, anything as drawSelection,
  anything as gutterLineClass, anything as highlightSelectionMatches, anything as highlightSpecialChars, anything as history,
  anything as historyKeymap, anything as indentLess, anything as indentMore, anything as indentOnInput, anything as indentUnit,
  anything as javascript, anything as json, anything as keymap, anything as lineNumbers, anything as localCompletionSource,
  anything as search, anything as searchKeymap, anything as syntaxHighlighting, anything as syntaxTree, anything as tags,
};
