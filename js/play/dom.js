// Creates elements. No code of the page converts a string to HTML.

/** @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * Creates an element with attributes (functions are listeners, `class` is its class) and children (texts or elements).
 */
export const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
};

/** Tabs with the usual keyboard behaviour: one stop in the tab order, arrows between the tabs. */
export const tabs = (list, choose) => {
  const all = () => [...list.querySelectorAll('[role=tab]')];
  const select = (tab, focus = false) => {
    for (const one of all()) {
      one.setAttribute('aria-selected', String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
    }
    if (focus) tab.focus();
    // Not `scrollIntoView`, which may move the page.
    list.scrollTop = Math.min(Math.max(list.scrollTop, tab.offsetTop + tab.offsetHeight - list.clientHeight), tab.offsetTop);
    choose(tab);
  };
  list.addEventListener('click', (event) => {
    const tab = event.target.closest('[role=tab]');
    if (tab !== null) select(tab);
  });
  list.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const found = all();
    const at = found.indexOf(document.activeElement);
    if (at < 0) return;
    const next = step !== undefined
      ? found[(at + step + found.length) % found.length]
      : { Home: found[0], End: found.at(-1) }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    select(next, true);
  });
  return { select };
};

/** Asks for a line of text; returns nothing if the user cancels. */
export const ask = ({ title, label, value, note, ok }) => {
  const dialog = byId('ask');
  const input = byId('ask-input');
  const back = /** @type {HTMLElement | null} */ (document.activeElement);
  byId('ask-title').textContent = title;
  byId('ask-label').textContent = label;
  byId('ask-note').textContent = note;
  byId('ask-ok').textContent = ok;
  input.value = value;
  dialog.returnValue = '';
  dialog.showModal();
  input.focus();
  input.select();
  return new Promise((resolve) => {
    byId('ask-cancel').onclick = () => dialog.close('');
    byId('ask-ok').value = 'ok';
    dialog.onclose = () => {
      // If the focus is inside an editor, it belongs to that editor.
      (/** @type {any} */ (back)?.shadowRoot?.querySelector('.cm-content') ?? back)?.focus();
      resolve(dialog.returnValue === 'ok' ? input.value.trim() : undefined);
    };
  });
};
