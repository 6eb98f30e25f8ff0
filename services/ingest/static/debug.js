// The live page of what arrived. Nothing is put into the page as HTML: whatever an event says is text.
"use strict";
(() => {
  const WORDS = {
    en: {
      title: "Events as they arrive", admin: "Admin key", show: "Show events", how: "Make one where Povod runs:",
      kept: "The key stays in this tab and is gone when you close it.", key: "Key", status: "Result", leave: "Forget the key",
      empty: "Nothing has arrived yet.", none: "Nothing here has this result.",
      try: "Post an event with a write key (povod keys create shop), and it is here within two seconds:",
      at: "Time", what: "Result", event: "Event", customer: "Customer", why: "Said about it", from: "Key and door",
      pause: "Pause", go: "Go on", all: "all", unknown: "(no known key)", live: "live", paused: "paused", silent: "no answer, trying again",
      accepted: "accepted", duplicate_in_request: "duplicate", rejected: "rejected", refused: "refused",
      generated: "had no id and got this one: a repeat of it would count again", hashed: "its id was too long: this is its SHA-256",
      clamped: "its time was moved to the nearest allowed one", unauthorized: "This key is not known.", wrong_scope: "This is no admin key.",
      keys_unavailable: "The keys are not loaded yet.", failed: "The server answered with an error:",
    },
    ru: {
      title: "События, как они приходят", admin: "Ключ администратора", show: "Показать события", how: "Создайте его там, где работает Povod:",
      kept: "Ключ остаётся в этой вкладке и пропадёт, когда вы её закроете.", key: "Ключ", status: "Результат", leave: "Забыть ключ",
      empty: "Пока ничего не пришло.", none: "С таким результатом ничего нет.",
      try: "Отправьте событие с ключом записи (povod keys create shop), и через две секунды оно будет здесь:",
      at: "Время", what: "Результат", event: "Событие", customer: "Клиент", why: "Пояснение", from: "Ключ и вход",
      pause: "Пауза", go: "Дальше", all: "все", unknown: "(ключ неизвестен)", live: "обновляется", paused: "пауза", silent: "нет ответа, пробуем снова",
      accepted: "принято", duplicate_in_request: "повтор", rejected: "отклонено", refused: "отказано",
      generated: "пришло без id и получило этот: повтор будет сочтён новым событием", hashed: "id был слишком длинным: это его SHA-256",
      clamped: "время сдвинуто к ближайшему допустимому", unauthorized: "Такой ключ неизвестен.", wrong_scope: "Это не ключ администратора.",
      keys_unavailable: "Ключи ещё не загружены.", failed: "Сервер ответил ошибкой:",
    },
  };
  const STATUSES = ["accepted", "duplicate_in_request", "rejected", "refused"];
  const EVERY = 2000;
  const PLACE = "povod.debug.key";
  const byId = (id) => document.getElementById(id);
  let words = WORDS.en, secret = sessionStorage.getItem(PLACE) || "", answer = null, timer = 0, isPaused = false, known = new Set(), asked = 0;

  function speak(language) {
    words = WORDS[language];
    document.documentElement.lang = language;
    document.title = `Povod: ${words.title}`;
    for (const each of document.querySelectorAll("[data-say]")) each.textContent = words[each.dataset.say];
    const other = language === "ru" ? "en" : "ru";
    const button = byId("language");
    button.textContent = other === "ru" ? "Русский" : "English";
    button.lang = other;
    button.onclick = () => speak(other);
    byId("pause").textContent = isPaused ? words.go : words.pause;
    fill(byId("status"), [["", words.all], ...STATUSES.map((status) => [status, words[status]])]);
    if (answer) draw(false);
  }

  function fill(select, options) {
    const chosen = select.value;
    if ([...select.options].map((each) => each.value + each.text).join() === options.map(([value, text]) => value + text).join()) return;
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    select.value = options.some(([value]) => value === chosen) ? chosen : options[0][0];
  }

  function made(name, className, ...content) {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...content.filter((each) => each));
    return element;
  }

  function row(event, isFresh) {
    const at = new Date(event.at);
    const time = made("time", "", at.toLocaleTimeString(document.documentElement.lang));
    time.dateTime = event.at;
    time.title = at.toLocaleString(document.documentElement.lang);
    const said = [
      event.code && made("span", "code", event.code), event.code && " ", event.message,
      event.pointer && made("span", "small", event.pointer),
      ...(event.warnings || []).map((each) => made("span", "warning", each)),
      ...(event.notes || []).map((each) => made("span", "small", words[each] || each)),
    ];
    const line = made("tr", isFresh ? "fresh" : "",
      made("td", "at", time),
      made("td", "result", made("span", `pill ${event.status}`, words[event.status] || event.status)),
      made("td", "", event.type, event.id && made("span", "small", event.id)),
      made("td", "", event.customer),
      made("td", "why", ...said),
      made("td", "", event.key || words.unknown, made("span", "small", event.door)));
    return line;
  }

  function draw(marksFresh) {
    fill(byId("key"), [["", words.all], ...answer.keys.map((name) => [`=${name}`, name]), ["=", words.unknown]]);
    const wanted = byId("status").value;
    const shown = answer.events.filter((event) => !wanted || event.status === wanted);
    const names = new Map();
    const identified = answer.events.map((event) => {
      const name = [event.at, event.key, event.door, event.status, event.id, event.type, event.code].join("\n");
      names.set(name, (names.get(name) || 0) + 1);
      return [event, `${name}\n${names.get(name)}`];
    });
    const fresh = new Set(identified.filter(([, name]) => marksFresh && !known.has(name)).map(([event]) => event));
    known = new Set(identified.map(([, name]) => name));
    byId("rows").replaceChildren(...shown.map((event) => row(event, fresh.has(event))));
    byId("table").hidden = !shown.length;
    byId("empty").hidden = shown.length > 0;
    byId("empty").firstElementChild.textContent = answer.events.length ? words.none : words.empty;
    byId("lesson").hidden = answer.events.length > 0;
  }

  function tell(problem) {
    byId("problem").textContent = problem || "";
    byId("problem").hidden = !problem;
  }

  function pulse(text) {
    if (byId("pulse").textContent !== text) byId("pulse").textContent = text;
  }

  function show(isInside) {
    byId("entrance").hidden = isInside;
    byId("view").hidden = !isInside;
  }

  function leave(problem) {
    sessionStorage.removeItem(PLACE);
    clearTimeout(timer);
    secret = "";
    asked += 1;
    answer = null;
    show(false);
    tell(problem);
    byId("admin").focus();
  }

  async function poll(marksFresh) {
    clearTimeout(timer);
    const mine = (asked += 1);
    const key = byId("key").value;
    try {
      const response = await fetch(`/v1/debug/events${key ? `?key=${encodeURIComponent(key.slice(1))}` : ""}`, {
        headers: { authorization: `Bearer ${secret}` }, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(10000),
      });
      const body = await response.json();
      if (mine !== asked) return;
      if (response.status === 401 || response.status === 403) return leave(words[body.code] || body.message);
      if (!response.ok) {
        tell(words[body.code] || `${words.failed} ${body.message}`);
      } else {
        sessionStorage.setItem(PLACE, secret);
        tell("");
        show(true);
        pulse(words.live);
        answer = body;
        draw(marksFresh);
      }
    } catch {
      if (mine !== asked) return;
      if (answer) pulse(words.silent);
      else tell(words.silent);
    }
    again();
  }

  function again() {
    clearTimeout(timer);
    if (secret && !isPaused && !document.hidden) timer = setTimeout(() => poll(true), EVERY);
  }

  byId("entrance").addEventListener("submit", (event) => {
    event.preventDefault();
    secret = byId("admin").value.trim();
    byId("admin").value = "";
    if (/^[\x21-\x7e]+$/.test(secret)) poll(false);
    else leave(words.unauthorized);
  });
  byId("key").addEventListener("change", () => poll(false));
  byId("status").addEventListener("change", () => draw(false));
  byId("leave").addEventListener("click", () => leave(""));
  byId("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    byId("pause").setAttribute("aria-pressed", String(isPaused));
    byId("pause").textContent = isPaused ? words.go : words.pause;
    pulse(isPaused ? words.paused : words.live);
    if (isPaused) clearTimeout(timer);
    else poll(true);
  });
  document.addEventListener("visibilitychange", () => { if (secret && !isPaused && !document.hidden) poll(true); });

  byId("recipe").textContent = [
    `curl ${location.origin}/v1/events \\`, "  -H 'Authorization: Bearer sk_...' \\", "  -d '{\"type\": \"page.viewed\", \"customer\": \"42\"}'",
  ].join("\n");
  speak((navigator.languages || [navigator.language]).find((each) => /^(ru|en)/i.test(each))?.slice(0, 2).toLowerCase() || "en");
  if (secret) poll(false);
})();
