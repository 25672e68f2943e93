/* The desk's one script. Every page works without it; it adds keys, the list of acts, clocks,
   saved drafts, polls, and puts the cursor where the work is after a part of the page was replaced.

   It reads these attributes, and nothing else of the markup:
     data-key="m"            this letter follows the link, presses the button, opens the <details> or enters the field
     data-focus-id="id"      the key goes to that field instead, when it is on the page
     data-act-link           listed by Ctrl-K (data-group: its heading); data-act-no + data-why: listed, not possible
     data-open="id"          opens the <dialog> of that id
     body data-palette-key   the letter that opens the list of acts with Ctrl: k unless the person chose another
     data-since="161"        a clock: seconds at the time of rendering
     data-draft-url="/..."   typed words are saved there (POST: text); data-saved: where "saved 2 s ago" stands
     data-poll="/..." data-every="1500"   replaced inside when the answer is 200; a part with data-poll-done ends it
     data-leave="/"          such a part says that this page is no longer this person's: they go there
     data-refresh            such a part changed the account: every box with data-fresh and an id is drawn again
     data-say="..."          said aloud when such a part arrives by a poll
     data-keep-scroll, id    a scrolling box that keeps its place
     data-question, data-answer="2", data-go-on   a step with several questions: a digit answers the one that has the
                             focus (or the first open one) and goes on to the next, at last to the button
     data-filter="id"        typing here leaves only the rows of that list that have the words
     data-focus              gets the focus after a swap                                                       */
(() => {
  'use strict';
  const $ = (sel, root = document) => root.querySelector(sel);
  const $$ = (sel, root = document) => [...root.querySelectorAll(sel)];
  const now = () => performance.now();
  const csrf = () => $('meta[name="csrf-token"]')?.content || '';

  /* Said by screen readers. Emptied first, or the same words twice would be said once. */
  function say(text) {
    const live = $('#live');
    if (!live || !text) return;
    live.textContent = '';
    setTimeout(() => { live.textContent = text; }, 60);
  }

  // ---- Clocks: counted from when the page came, so that a slow tab or a sleeping laptop is not behind -------
  const started = new WeakMap();
  const clockText = (s) => {
    const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60, sec = String(s % 60).padStart(2, '0');
    return h ? `${h}:${String(m).padStart(2, '0')}:${sec}` : `${m}:${sec}`;
  };
  function tick() {
    for (const el of $$('[data-since]')) {
      if (!started.has(el)) started.set(el, now() - 1000 * Number(el.dataset.since));
      const text = clockText(Math.floor((now() - started.get(el)) / 1000));
      if (el.textContent !== text) el.textContent = text;
    }
    showSaved();
  }

  // ---- Drafts: what is typed is never lost -------------------------------------------------------------
  // The address names the account that the words are about: they never show on another. On this computer each tab keeps
  // its own until the server has them; a page that opens takes up what a crash or a dead network left.
  const drafts = new Map(); // url -> {text, was, timer, savedAt, problem}
  const tab = (() => { try { return sessionStorage.careline || (sessionStorage.careline = Math.random().toString(36).slice(2)); } catch { return 'one'; } })();
  const localPrefix = 'careline-draft:';
  const localKey = (url) => localPrefix + url + '#' + tab;
  const looksLikeCard = (text) => /(?:\d[ -]?){13,19}/.test(text); // never left in the browser
  function keepLocal(url, text) { try { if (!looksLikeCard(text)) localStorage.setItem(localKey(url), text); } catch { /* storage is off */ } }
  function dropLocal(url) { try { localStorage.removeItem(localKey(url)); } catch { /* storage is off */ } }
  function takeLocal(url) { // what any tab left for this box
    try {
      const keys = Object.keys(localStorage).filter((k) => k.startsWith(localPrefix + url + '#'));
      const found = keys.map((k) => localStorage.getItem(k));
      keys.forEach((k) => localStorage.removeItem(k));
      return found;
    } catch { return []; }
  }
  function together(saved, left) { // no word is lost, and none stands twice
    return left.reduce((all, text) => (all.includes(text) ? all : text.startsWith(all) ? text : all + '\n' + text), saved);
  }

  async function saveDraft(url) {
    const d = drafts.get(url);
    clearTimeout(d.timer);
    d.timer = 0;
    const text = d.text;
    try {
      const answer = await fetch(url, {
        method: 'POST', keepalive: true, redirect: 'error',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'X-CSRFToken': csrf(), 'X-Careline-Draft': '1' },
        body: new URLSearchParams({ text, was: d.was }),
      });
      if (answer.ok) { d.savedAt = now(); d.problem = ''; d.was = text; if (d.text === text) dropLocal(url); }
      else { // 422 carries a sentence, e.g. that card numbers do not belong in a note
        const plain = (answer.headers.get('Content-Type') || '').startsWith('text/plain');
        d.problem = answer.status === 422 && plain ? (await answer.text()).slice(0, 240) : 'not saved';
        say(d.problem);
      }
    } catch { // no network: kept here, and tried again
      d.problem = 'kept on this computer';
      d.timer = setTimeout(() => saveDraft(url), 5000);
    }
    showSaved();
  }
  function typed(area) {
    const url = area.dataset.draftUrl;
    const d = drafts.get(url) || { was: area.defaultValue };
    clearTimeout(d.timer);
    d.text = area.value;
    keepLocal(url, d.text);
    d.timer = setTimeout(() => saveDraft(url), 800);
    drafts.set(url, d);
  }
  function restoreDrafts() {
    for (const area of $$('textarea[data-draft-url]')) {
      if (drafts.has(area.dataset.draftUrl)) continue; // it is being typed now
      const all = together(area.value, takeLocal(area.dataset.draftUrl));
      if (all !== area.value) { area.value = all; typed(area); }
    }
  }
  function showSaved() {
    const mark = $('[data-saved]');
    if (!mark) return;
    const all = [...drafts.values()];
    const problem = all.map((d) => d.problem).find(Boolean);
    const last = Math.max(...all.map((d) => d.savedAt || 0), 0);
    const s = Math.floor((now() - last) / 1000);
    const text = problem || (last ? (s < 60 ? `saved ${s} s ago` : `saved ${Math.floor(s / 60)} min ago`) : '');
    if (mark.textContent !== text) { mark.textContent = text; mark.title = text; }
    mark.classList.toggle('is-bad', Boolean(problem));
  }
  document.addEventListener('input', (e) => { if (e.target.matches?.('textarea[data-draft-url]')) typed(e.target); });
  window.addEventListener('pagehide', () => { for (const [url, d] of drafts) if (d.timer && d.text !== undefined) saveDraft(url); });

  // ---- Keys ------------------------------------------------------------------------------------------
  const inField = (el) => el && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName) && !/^(checkbox|radio|button|submit)$/.test(el.type));
  const keysOn = () => document.body.dataset.keys === 'on';
  function reveal(el) { // a folded column opens for what is inside it
    for (let d = el.closest('details'); d; d = d.parentElement?.closest('details')) if (!d.open && !d.matches('.act-no')) d.open = true;
  }
  function press(el) {
    const field = el.dataset.focusId && document.getElementById(el.dataset.focusId);
    if (field) { reveal(field); field.focus(); return; }
    if (el.matches('.act-no > summary')) { reveal(el); el.focus(); if (!el.parentElement.open) el.click(); say(el.dataset.why); return; }
    if (el.matches('summary')) { el.click(); if (el.parentElement.open) $('.col', el.parentElement)?.focus(); return; }
    if (el.matches('form')) { // money is never granted by one slipped letter: the key goes there, Enter does it
      const into = $('input:not([type="hidden"]), textarea, select', el) || $('button', el);
      reveal(into); into.focus(); return;
    }
    if (el.matches('input, textarea, select')) { reveal(el); el.focus(); return; }
    el.click();
  }
  document.addEventListener('keydown', (e) => {
    if (e.isComposing) return;
    if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === (document.body.dataset.paletteKey || 'k') && $('#palette')) {
      e.preventDefault(); openPalette(); return;
    }
    if (e.key === 'Escape') { // a dialog closes by itself; then a menu or drawer; then the field is left
      const open = $('details.menu[open]') || $$('.fold[open]').find((d) => getComputedStyle($('summary', d)).display !== 'none');
      if (!$('dialog[open]') && open) { open.open = false; $('summary', open).focus(); }
      else if (!$('dialog[open]') && inField(e.target)) e.target.blur();
      return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey || inField(e.target) || $('dialog[open]')) return;
    if (!keysOn()) return;
    if (e.key === '/') { const q = $('[data-find]'); if (q) { e.preventDefault(); q.focus(); q.select(); } return; }
    if (e.key === '?') { e.preventDefault(); openDialog('keys'); return; }
    if (e.key.length !== 1 || e.shiftKey) return;
    if (/^[0-9]$/.test(e.key) && answerQuestion(e.key)) { e.preventDefault(); return; }
    const el = $(`[data-key="${CSS.escape(e.key.toLowerCase())}"]`);
    if (el && !el.disabled) { e.preventDefault(); press(el); }
  });

  // ---- A step with several questions: each digit answers one and goes on -------------------------------
  function answerQuestion(digit) {
    const open = (q) => !$(':checked', q);
    const question = document.activeElement?.closest('[data-question]') || $$('[data-question]').find(open);
    const choice = question && $(`[data-answer="${digit}"]`, question);
    if (!choice) return false;
    choice.checked = true;
    const next = $$('[data-question]').filter((q) => question.compareDocumentPosition(q) & Node.DOCUMENT_POSITION_FOLLOWING).find(open);
    (next ? $('input', next) : $('[data-go-on]')).focus();
    return true;
  }

  // ---- Dialogs: the list of keys, and the list of acts -----------------------------------------------
  function openDialog(id) {
    const dialog = document.getElementById(id);
    if (!dialog?.showModal || dialog.open) return;
    if (id === 'keys') listKeys(dialog);
    dialog.showModal();
  }
  document.addEventListener('click', (e) => {
    const opener = e.target.closest?.('[data-open]');
    if (opener) { e.preventDefault(); opener.dataset.open === 'palette' ? openPalette() : openDialog(opener.dataset.open); return; }
    if (e.target.matches?.('dialog[open]')) e.target.close(); // a click on the veil
    const menu = $('details.menu[open]');
    if (menu && !menu.contains(e.target)) menu.open = false;
  });
  const wordsOf = (el) => { // the label without its key
    const copy = el.cloneNode(true);
    $$('kbd, .act-no-tag, .probably-link, .badge, svg', copy).forEach((x) => x.remove());
    const text = copy.textContent.replace(/\s+/g, ' ').trim();
    return text.charAt(0).toUpperCase() + text.slice(1);
  };
  function make(tag, props = {}, ...children) { const el = Object.assign(document.createElement(tag), props); el.append(...children); return el; }
  function listKeys(dialog) {
    const seen = new Set();
    $('[data-keys-here]', dialog)?.replaceChildren(...$$('[data-key]').filter((el) => !(el.matches('summary') && !el.offsetParent) && !seen.has(el.dataset.key) && seen.add(el.dataset.key))
      .map((el) => make('div', {}, make('dt', {}, make('kbd', { textContent: el.dataset.key.toUpperCase() })), make('dd', { textContent: el.matches('form') ? wordsOf($('.form-title', el)) : wordsOf(el) }))));
  }
  let rows = [], chosen = -1;
  function openPalette() {
    const dialog = $('#palette');
    if (!dialog || dialog.open) return;
    $('dialog[open]')?.close();
    const seen = new Set();
    rows = $$('[data-act-link], [data-act-no]').map((el) => ({ el, text: wordsOf(el), group: el.dataset.group || '', key: el.dataset.key, why: el.dataset.why }))
      .filter((r) => { const id = r.group + r.text; return r.text && !seen.has(id) && seen.add(id); });
    $('#palette-q').value = '';
    filterPalette();
    dialog.showModal();
  }
  function filterPalette() {
    const words = $('#palette-q').value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = rows.filter((r) => words.every((w) => (r.group + ' ' + r.text).toLowerCase().includes(w)));
    const later = ['Probably about', 'Show', 'Go to']; // first what can be done here, then where to look, then what cannot be done
    const rank = (r) => (r.why ? later.length + 1 : later.indexOf(r.group) + 1);
    fits.sort((a, b) => rank(a) - rank(b));
    const list = $('#palette-list');
    list.replaceChildren(...fits.map((r, i) => {
      const li = make('li', { id: 'palette-' + i }, make('span', { textContent: r.text }), r.key ? make('kbd', { textContent: r.key.toUpperCase() }) : make('span', { className: 'quiet', textContent: r.group }));
      li.setAttribute('role', 'option');
      if (r.why) { li.setAttribute('aria-disabled', 'true'); li.append(make('small', { textContent: r.why })); }
      li.addEventListener('click', () => takePalette(r));
      li.row = r;
      return li;
    }));
    if (!fits.length) list.append(make('li', { textContent: 'Nothing here is called that.', className: 'quiet' }));
    choose(fits.length ? 0 : -1);
  }
  function choose(i) {
    chosen = i;
    $$('#palette-list [role="option"]').forEach((li, j) => { li.setAttribute('aria-selected', String(j === i)); if (j === i) li.scrollIntoView({ block: 'nearest' }); });
    const q = $('#palette-q');
    i < 0 ? q.removeAttribute('aria-activedescendant') : q.setAttribute('aria-activedescendant', 'palette-' + i);
  }
  function takePalette(r) {
    if (r.why) { say(r.why); return; }
    $('#palette').close();
    press(r.el);
  }
  document.addEventListener('input', (e) => { if (e.target.id === 'palette-q') filterPalette(); });
  document.addEventListener('keydown', (e) => {
    if (e.target.id !== 'palette-q' || e.isComposing) return;
    const options = $$('#palette-list [role="option"]');
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step && options.length) { e.preventDefault(); choose((chosen + step + options.length) % options.length); }
    if (e.key === 'Enter' && options[chosen]) { e.preventDefault(); takePalette(options[chosen].row); }
  });

  // ---- A list that is made shorter while one types; without script its form does it --------------------
  document.addEventListener('input', (e) => {
    const list = e.target.dataset.filter && document.getElementById(e.target.dataset.filter);
    if (!list) return;
    const words = e.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of list.children) row.hidden = !words.every((w) => row.textContent.toLowerCase().includes(w));
  });

  // ---- Polls: only while somebody looks; slower when the network fails --------------------------------
  const polls = new WeakMap();
  function startPolls() {
    for (const el of $$('[data-poll]')) {
      if (polls.has(el) || $('[data-poll-done]', el)) continue;
      polls.set(el, true);
      const every = Math.max(Number(el.dataset.every) || 1500, 500);
      let wait = every, seen = ''; // what this place shows now: the server answers 204 while that is still so
      const round = async () => {
        if (!el.isConnected) return;
        if (document.visibilityState === 'visible') {
          try {
            const answer = await fetch(el.dataset.poll, { headers: { 'X-Careline-Poll': '1', ...(seen && { 'X-Careline-Seen': seen }) }, redirect: 'error', cache: 'no-store' });
            wait = every;
            if (answer.status === 200) { seen = answer.headers.get('X-Careline-Seen') || ''; replaceInside(el, await answer.text()); const left = $('[data-leave]', el); if (left) { location.assign(left.dataset.leave); return; } if ($('[data-refresh]', el)) refreshParts(); if ($('[data-poll-done]', el)) return; }
            else if ([401, 403, 404, 410].includes(answer.status)) return; // signed out, or it is gone: the next click will say so
            else if (answer.status !== 204) wait = Math.min(wait * 2, 30000);
          } catch { wait = Math.min(wait * 2, 30000); }
        }
        setTimeout(round, wait);
      };
      setTimeout(round, wait);
    }
  }
  /* The account changed under the page: what shows it is drawn again, and nothing that somebody may be typing in. */
  async function refreshParts() {
    const here = location.href;
    const answer = await fetch(here, { headers: { Accept: 'text/html' }, redirect: 'error', cache: 'no-store' });
    if (answer.status !== 200 || location.href !== here) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const el of $$('[data-fresh][id]')) {
      const now = fresh.getElementById(el.id);
      const editing = $$('input:not([type="hidden"]), textarea', el).some((f) => f.value !== f.defaultValue);
      if (!now || editing) continue;
      const open = new Map($$('details[id]', el).map((d) => [d.id, d.open]));
      const focused = el.contains(document.activeElement) ? document.activeElement.id : '';
      el.replaceChildren(...now.childNodes);
      for (const d of $$('details[id]', el)) if (open.has(d.id)) d.open = open.get(d.id);
      window.htmx?.process(el);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    }
    tick();
  }
  function replaceInside(el, html) {
    const focused = el.contains(document.activeElement) ? document.activeElement.id : '';
    el.innerHTML = html; // our own server's escaped HTML
    window.htmx?.process(el);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    tick();
    say($('[data-say]', el)?.dataset.say || el.textContent.replace(/\s+/g, ' ').trim().slice(0, 200));
  }

  // ---- Forms: one click is one act -------------------------------------------------------------------
  const busy = new Set();
  document.addEventListener('submit', (e) => {
    const form = e.target;
    if (form.method === 'dialog' || e.defaultPrevented && !window.htmx) return;
    for (const area of $$('textarea[data-draft-url]', form)) { // the words go with the form; the draft is done
      const d = drafts.get(area.dataset.draftUrl);
      if (d) { clearTimeout(d.timer); drafts.delete(area.dataset.draftUrl); }
      dropLocal(area.dataset.draftUrl);
    }
    if ('signout' in form.dataset) try { Object.keys(localStorage).filter((k) => k.startsWith(localPrefix)).forEach((k) => localStorage.removeItem(k)); } catch { /* storage is off */ }
    const button = e.submitter || $('button:not([type="button"])', form);
    if (button) setTimeout(() => { button.disabled = true; busy.add(button); }); // later, or its value would not be sent
  });
  document.addEventListener('htmx:configRequest', ({ detail }) => { // of a button that stands outside its form htmx sends nothing
    const button = detail.triggeringEvent?.submitter;
    if (button?.name && button.hasAttribute('form')) detail.parameters[button.name] = button.value;
  });
  const freeButtons = () => { busy.forEach((b) => { b.disabled = false; }); busy.clear(); };
  window.addEventListener('pageshow', freeButtons); // back from the browser's own page cache

  // ---- What is wrong comes first: after a form came back, at once or by a swap --------------------------
  const WRONG = '[aria-invalid="true"], fieldset.is-bad input, .field-error, .form-error, .refusal';
  const first = (root) => $('[aria-invalid="true"], fieldset.is-bad input', root) || $('.form-error[data-focus], .field-error[data-focus]', root) || $('[data-focus]', root) || $('[autofocus]', root);
  // A reason that is opened at the lower edge is seen whole.
  document.addEventListener('toggle', (e) => { if (e.target.matches?.('details.act-no[open]')) e.target.scrollIntoView({ block: 'nearest' }); }, true);

  // ---- After a part of the page was replaced ----------------------------------------------------------
  function take(el, still = false) { // an amount that stands there already is typed over, not added to
    el?.focus({ preventScroll: still });
    if (!still && el?.matches(WRONG)) el.scrollIntoView({ block: 'nearest' });
    if (el?.matches('input.num')) el.select();
  }
  /* An act drawn again because of a choice in it: what was typed since it was asked for stays, and so does the cursor. */
  const isRedraw = ({ requestConfig, target }) => requestConfig?.verb === 'get' && target?.id === 'act' && target.contains(requestConfig.elt);
  const fieldsOf = (root) => $$('input:not([type="hidden"]), select, textarea', root);
  const isOn = (f) => (/^(radio|checkbox)$/.test(f.type) ? f.checked : f.value);
  const valuesOf = (root) => new Map(fieldsOf(root).map((f) => [f.id, isOn(f)]));
  let asked = new Map(), since = null;
  document.addEventListener('htmx:beforeRequest', (e) => { if (isRedraw(e.detail)) asked = valuesOf(e.detail.target); });
  function keepTyped(act) {
    const changed = [...valuesOf(act)].filter(([id, v]) => asked.has(id) && asked.get(id) !== v);
    const at = document.activeElement;
    const caret = act.contains(at) && at.matches('input[type="text"], textarea') ? [at.selectionStart, at.selectionEnd] : null;
    since = { changed, at: at.id, caret };
  }
  document.addEventListener('htmx:afterSwap', () => {
    if (!since) return;
    for (const [id, v] of since.changed) {
      const f = document.getElementById(id);
      if (!f || f.matches('select') && ![...f.options].some((o) => o.value === v)) continue;
      typeof v === 'boolean' ? f.checked = v : f.value = v;
    }
    focusBack();
  });
  function focusBack() {
    const at = since.at && document.getElementById(since.at);
    if (!at || at === document.activeElement) return;
    at.focus({ preventScroll: true });
    if (since.caret) at.setSelectionRange(...since.caret);
  }
  let places = {}, opened = {}, words = {};
  document.addEventListener('htmx:beforeSwap', (e) => {
    const { xhr, serverResponse } = e.detail;
    // Another kind of page (sign-in after the session ended), or no page of ours: load it whole.
    const shell = /<body data-shell="(\w+)"/.exec(serverResponse || '')?.[1];
    if (shell !== document.body.dataset.shell) {
      e.detail.shouldSwap = false;
      if (xhr.status < 400 || shell) location.assign(shell ? xhr.responseURL : location.href);
      else say('That did not work. Try again.');
      return;
    }
    since = null;
    if (isRedraw(e.detail)) {
      if (busy.size) { e.detail.shouldSwap = false; return; } // it is being sent as it stands
      keepTyped(e.detail.target);
    }
    const sending = e.detail.requestConfig?.elt;
    places = Object.fromEntries($$('[data-keep-scroll][id]').map((el) => [el.id, el.scrollTop]));
    opened = Object.fromEntries($$('details[id]:not(.menu)').map((el) => [el.id, el.open]));
    words = Object.fromEntries($$('textarea[data-draft-url][id]').filter((el) => !sending?.contains(el)).map((el) => [el.id, el.value]));
  });
  document.addEventListener('htmx:afterSettle', (e) => {
    if (since && e.target.id !== 'act') return; // parts that came with it
    for (const [id, open] of Object.entries(opened)) { const el = document.getElementById(id); if (el) el.open = open; }
    for (const [id, text] of Object.entries(words)) { const el = document.getElementById(id); if (el && text && el.value !== text) el.value = text; }
    for (const [id, top] of Object.entries(places)) { const el = document.getElementById(id); if (el && id !== 'col-centre') el.scrollTop = top; }
    opened = {}; words = {}; places = {};
    begin();
    if (since) focusBack(); // htmx has given it to what asks for it first
    const chosen = since?.changed.map(([id]) => document.getElementById(id)).find((f) => f?.matches('[hx-get]') && (f.matches('select, [type="date"]') || f.checked));
    if (chosen) { htmx.trigger(chosen, 'change'); return; } // one more choice while this one was asked for
    if (since && document.activeElement !== document.body) { since = null; say($('#act .limit')?.textContent.trim()); return; }
    const main = $('#main');
    const target = first(main) || main;
    take(target, target === main);
    say($('#flashes')?.textContent.trim() || (target === main ? document.title : ''));
    if (e.detail.target?.id === 'main' && !$('.contact')) window.scrollTo(0, 0);
  });
  // A refused or incomplete form comes back at the address it was sent to; that address is not one to return to.
  document.addEventListener('htmx:beforeHistoryUpdate', (e) => {
    const { history, requestConfig, xhr } = e.detail;
    if (requestConfig.verb !== 'get' && new URL(xhr.responseURL).pathname === new URL(requestConfig.path, location.href).pathname) {
      history.type = 'replace'; history.path = location.pathname + location.search;
    }
  });
  document.addEventListener('htmx:afterRequest', freeButtons);
  document.addEventListener('htmx:sendError', () => say('No connection. Nothing was sent; try again.'));

  function begin() { tick(); startPolls(); restoreDrafts(); }
  setInterval(tick, 1000);
  begin();
  take(first(document));
})();
