// Povod in a web page: says what a visitor does, loses nothing, doubles nothing. How to use it: docs/doors/browser.md
// Each event is an entry of its own in localStorage (tabs never overwrite each other's) until the server has answered 200.
// What went by sendBeacon stays too, marked: it is sent once more under its id, which the server knows as a repeat.
((win, doc, nav) => {
  if (win.povod && win.povod.track) return; // twice on one page
  const tag = doc.currentScript || doc.querySelector('script[data-key][src*="povod.js"]');
  const { key, url, consent: mode, page: pages } = tag.dataset;
  const target = (url || new URL(tag.src).origin) + '/v1/events';
  const ANONYMOUS = 'povod.anonymous', CONSENT = 'povod.consent', USER = 'povod.user', EVENT = 'povod.e.';
  const MOST = 1000, DAY = 864e5, ROOM = 6e4;
  const memory = {}; // what localStorage does not take
  let store, timer, begun, sending, flying = {}, failures = 0, waitUntil = 0, count = 1000;

  try {
    store = win.localStorage;
  } catch (e) {} // forbidden

  const get = (name) => (name in memory ? memory[name] : store && store.getItem(name));
  const drop = (name) => {
    delete memory[name];
    if (store) store.removeItem(name);
  };
  const set = (name, value) => {
    try {
      store.setItem(name, value);
      delete memory[name];
    } catch (e) {
      memory[name] = value;
    }
  };
  const queue = () => [...Object.keys(memory), ...Object.keys(store || {})].filter((name) => name.startsWith(EVENT)).sort();
  const uuid = () => win.crypto.randomUUID ? win.crypto.randomUUID() : // only where the page came by HTTPS
    [...win.crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, 0)).join('');
  const allowed = () => (mode === 'required' ? get(CONSENT) === 'yes' : get(CONSENT) !== 'no');
  const user = () => JSON.parse(get(USER) || '{}');
  const anonymousId = () => {
    if (allowed() && !get(ANONYMOUS)) set(ANONYMOUS, uuid());
    return get(ANONYMOUS);
  };
  const context = () => {
    const campaign = {};
    new URLSearchParams(win.location.search).forEach((value, name) => {
      if (name.startsWith('utm_')) campaign[name.slice(4).replace('campaign', 'name')] = value;
    });
    return { locale: nav.language, timezone: Intl.DateTimeFormat().resolvedOptions().timeZone, campaign, library: { name: 'povod.js' } };
  };

  const track = (type, data) => {
    if (!allowed()) return;
    const id = uuid();
    const event = { id, type, time: new Date(), ...user(), anonymous: anonymousId(), data: { context: context(), ...data } };
    queue().slice(0, 1 - MOST).forEach(drop);
    set(`${EVENT}${Date.now().toString(36)}.${count++}.${id}`, JSON.stringify(event));
    later(200);
    return id;
  };
  const page = (data) =>
    track('page.viewed', { url: win.location.href, path: win.location.pathname, title: doc.title, referrer: doc.referrer, ...data });
  const identify = (id, traits, signature) => {
    if (!allowed()) return;
    const known = user().customer;
    if (known && known !== `${id}`) reset(); // another person at this browser
    set(USER, JSON.stringify({ customer: `${id}`, signature }));
    return track('customer.identified', traits);
  };
  const reset = () => [USER, ANONYMOUS].forEach(drop);
  const consent = (given) => {
    if (given) {
      set(CONSENT, 'yes');
      return begin();
    }
    [...queue(), USER, ANONYMOUS, CONSENT].forEach(drop);
    if (mode !== 'required') set(CONSENT, 'no');
  };

  // The oldest events that fit into one request: their names, the body, its size. Marked ones of yesterday may have been forgotten there.
  const pack = (most) => {
    const taken = [], events = [];
    let size = 0;
    for (const name of queue()) {
      const text = get(name) || '', marked = text[0] === '!';
      if (!text || flying[name]) continue; // an empty one was sent by another tab just now
      if (marked && Date.now() - parseInt(name.slice(EVENT.length), 36) > DAY) {
        drop(name);
        continue;
      }
      size += new Blob([text]).size + 50;
      if (taken.length && (size > ROOM || taken.length >= most)) break;
      taken.push(name);
      events.push(text.slice(marked).replace('{', `{"sent_at":"${new Date().toISOString()}",`));
    }
    return [taken, `{"batch":[${events}]}`, size];
  };
  const later = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(flush, Math.max(ms, waitUntil - Date.now()));
  };
  // One tab sends at a time; where there are no locks, tabs may send the same, under the same ids.
  const flush = async () => {
    if (sending || !allowed()) return;
    sending = true;
    const wait = await (nav.locks ? nav.locks.request('povod', () => send(100)) : send(100)).catch(() => 1e3);
    sending = false;
    if (wait >= 0) later(wait);
  };
  // Send one request; gives the wait before the next, nothing where none is to come.
  const send = async (most) => {
    const [taken, body, size] = pack(most);
    if (!taken.length) return;
    taken.forEach((name) => (flying[name] = 1));
    const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
    let answer, said;
    try {
      const signal = AbortSignal.timeout && AbortSignal.timeout(3e4);
      answer = await fetch(target, { method: 'POST', headers, body, signal, keepalive: size < ROOM });
      said = await answer.json();
    } catch (e) {} // no network, or no answer of ours
    taken.forEach((name) => delete flying[name]);
    const status = said ? answer.status : 0;
    if (status === 413 && taken.length > 1) return send(taken.length >> 1);
    if (status && (status !== 200 || said.rejected)) console.warn('povod', said);
    if (status === 200 || status === 400 || status === 413) {
      taken.forEach(drop);
      return (failures = 0);
    }
    if (status === 401 || status === 403) return; // kept for a page with a good key
    const asked = status && answer.headers.get('Retry-After') * 1e3;
    const wait = asked || Math.min(1e3 << Math.min(failures++, 6), 6e4) * (0.5 + Math.random() / 2);
    waitUntil = Date.now() + wait;
    return wait;
  };
  const leave = () => {
    const [taken, body] = pack(100);
    if (!allowed() || !taken.length || !nav.sendBeacon(`${target}?writeKey=${encodeURIComponent(key)}`, body)) return;
    taken.forEach((name) => {
      const text = get(name);
      flying[name] = 1;
      if (text && text[0] !== '!') set(name, '!' + text);
    });
  };
  const begin = () => {
    if (begun || !allowed()) return;
    begun = true;
    if (pages !== 'off') page();
    flush();
  };

  const early = win.povod || [];
  const povod = (win.povod = { page, track, identify, consent, reset, flush, anonymousId, push: ([name, ...given]) => povod[name](...given) });
  win.addEventListener('pagehide', leave);
  doc.addEventListener('visibilitychange', () => {
    if (doc.visibilityState === 'hidden') return leave();
    if (!sending) flying = {};
    later(0);
  });
  win.addEventListener('online', () => {
    waitUntil = 0;
    later(0);
  });
  early.forEach(povod.push);
  begin();
})(window, document, navigator);
