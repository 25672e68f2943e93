/* The desk's one script. Every page works without it; it adds keys, the list of acts, clocks,
   saved drafts, polls, and puts the cursor where the work is after a part of the page was replaced.

   It reads these attributes, and nothing else of the markup:
     data-key="m"            this letter follows the link, presses the button, opens the <details> or enters the field
     data-focus-id="id"      the key goes to that field instead, when it is on the page
     data-act-link           listed by Ctrl-K (data-group: its heading); data-act-no + data-why: listed, not possible
     data-open="id"          opens the <dialog> of that id
     data-since="161"        a clock: seconds at the time of rendering
     data-draft-url="/..."   typed words are saved there (POST: text); data-saved: where "saved 2 s ago" stands
     data-poll="/..." data-every="1500"   replaced inside when the answer is 200; a part with data-poll-done ends it
     data-say="..."          said aloud when such a part arrives by a poll
     data-keep-scroll, id    a scrolling box that keeps its place
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
  const drafts = new Map(); // url -> {text, timer, savedAt, problem}
  const localKey = (url) => 'careline-draft:' + url;
  const looksLikeCard = (text) => /(?:\d[ -]?){13,19}/.test(text); // never left in the browser
  function keepLocal(url, text) { try { if (!looksLikeCard(text)) localStorage.setItem(localKey(url), text); } catch { /* storage is off */ } }
  function dropLocal(url) { try { localStorage.removeItem(localKey(url)); } catch { /* storage is off */ } }
  function readLocal(url) { try { return localStorage.getItem(localKey(url)); } catch { return null; } }

  async function saveDraft(url) {
    const d = drafts.get(url);
    clearTimeout(d.timer);
    const text = d.text;
    try {
      const answer = await fetch(url, {
        method: 'POST', keepalive: true, redirect: 'error',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'X-CSRFToken': csrf(), 'X-Careline-Draft': '1' },
        body: new URLSearchParams({ text }),
      });
      if (answer.ok) { d.savedAt = now(); d.problem = ''; dropLocal(url); }
      else { // 422 carries a sentence, e.g. that card numbers do not belong in a note
        const plain = (answer.headers.get('Content-Type') || '').startsWith('text/plain');
        d.problem = answer.status === 422 && plain ? (await answer.text()).slice(0, 120) : 'not saved';
        say(d.problem);
      }
    } catch { // no network: kept here, and tried again
      keepLocal(url, text);
      d.problem = 'kept on this computer';
      d.timer = setTimeout(() => saveDraft(url), 5000);
    }
    showSaved();
  }
  function typed(area) {
    const url = area.dataset.draftUrl;
    const d = drafts.get(url) || {};
    clearTimeout(d.timer);
    d.text = area.value;
    d.timer = setTimeout(() => saveDraft(url), 800);
    drafts.set(url, d);
  }
  function restoreDrafts() {
    for (const area of $$('textarea[data-draft-url]')) {
      const kept = readLocal(area.dataset.draftUrl);
      if (kept && !area.value) { area.value = kept; typed(area); }
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
  window.addEventListener('pagehide', () => { for (const [url, d] of drafts) if (d.timer && d.text !== undefined && !(d.savedAt > 0 && !d.problem)) saveDraft(url); });

  // ---- Keys ------------------------------------------------------------------------------------------
  const inField = (el) => el && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName) && !/^(checkbox|radio|button|submit)$/.test(el.type));
  const keysOn = () => document.body.dataset.keys === 'on';
  function reveal(el) { // a folded column opens for what is inside it
    for (let d = el.closest('details'); d; d = d.parentElement?.closest('details')) if (!d.open && !d.matches('.act-no')) d.open = true;
  }
  function press(el) {
    const field = el.dataset.focusId && document.getElementById(el.dataset.focusId);
    if (field) { reveal(field); field.focus(); return; }
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
    if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === 'k' && $('#palette')) {
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
    const el = $(`[data-key="${CSS.escape(e.key.toLowerCase())}"]`);
    if (el && !el.disabled) { e.preventDefault(); press(el); }
  });

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
    $$('kbd, .act-no-tag, .badge, svg', copy).forEach((x) => x.remove());
    return copy.textContent.replace(/\s+/g, ' ').trim();
  };
  function make(tag, props = {}, ...children) { const el = Object.assign(document.createElement(tag), props); el.append(...children); return el; }
  function listKeys(dialog) {
    const seen = new Set();
    $('[data-keys-here]', dialog).replaceChildren(...$$('[data-key]').filter((el) => !seen.has(el.dataset.key) && seen.add(el.dataset.key))
      .map((el) => make('div', {}, make('dt', {}, make('kbd', { textContent: el.dataset.key.toUpperCase() })), make('dd', { textContent: el.matches('form') ? wordsOf($('.form-title', el)) : wordsOf(el) }))));
  }
  let rows = [], chosen = -1;
  function openPalette() {
    const dialog = $('#palette');
    if (!dialog || dialog.open) return;
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
    const rank = (r) => (r.why ? 2 : r.group === 'Go to' ? 1 : 0); // first what can be done here, then other pages, then what cannot
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
            if (answer.status === 200) { seen = answer.headers.get('X-Careline-Seen') || ''; replaceInside(el, await answer.text()); if ($('[data-poll-done]', el)) return; }
            else if ([401, 403, 404, 410].includes(answer.status)) return; // signed out, or it is gone: the next click will say so
            else if (answer.status !== 204) wait = Math.min(wait * 2, 30000);
          } catch { wait = Math.min(wait * 2, 30000); }
        }
        setTimeout(round, wait);
      };
      setTimeout(round, wait);
    }
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
    if ('signout' in form.dataset) try { Object.keys(localStorage).filter((k) => k.startsWith(localKey(''))).forEach((k) => localStorage.removeItem(k)); } catch { /* storage is off */ }
    const button = e.submitter || $('button:not([type="button"])', form);
    if (button) setTimeout(() => { button.disabled = true; busy.add(button); }); // later, or its value would not be sent
  });
  const freeButtons = () => { busy.forEach((b) => { b.disabled = false; }); busy.clear(); };
  window.addEventListener('pageshow', freeButtons); // back from the browser's own page cache

  // ---- After a part of the page was replaced ----------------------------------------------------------
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
    const sending = e.detail.requestConfig?.elt;
    places = Object.fromEntries($$('[data-keep-scroll][id]').map((el) => [el.id, el.scrollTop]));
    opened = Object.fromEntries($$('details[id]:not(.menu)').map((el) => [el.id, el.open]));
    words = Object.fromEntries($$('textarea[data-draft-url][id]').filter((el) => !sending?.contains(el)).map((el) => [el.id, el.value]));
  });
  document.addEventListener('htmx:afterSettle', (e) => {
    for (const [id, open] of Object.entries(opened)) { const el = document.getElementById(id); if (el) el.open = open; }
    for (const [id, text] of Object.entries(words)) { const el = document.getElementById(id); if (el && text && el.value !== text) el.value = text; }
    for (const [id, top] of Object.entries(places)) { const el = document.getElementById(id); if (el && id !== 'col-centre') el.scrollTop = top; }
    opened = {}; words = {}; places = {};
    begin();
    const main = $('#main');
    const target = $('[aria-invalid="true"], fieldset.is-bad input', main) || $('[data-focus]', main) || $('[autofocus]', main) || main;
    target?.focus({ preventScroll: target === main });
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
  const first = $('[aria-invalid="true"]') || $('[data-focus]');
  if (first) first.focus();
})();
