"use strict";
(() => {
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const root = document.documentElement;
root.classList.add("js");

// ---- the matrix, read when something is first asked of it ----
let held = null;
function matrix() {
  if (held) return held;
  const m = JSON.parse($("#matrix").textContent);
  const by = (rows) => new Map(rows.map((row) => [row.id, row]));
  held = { m, requirement: by(m.requirements), hazard: by(m.hazards), code: by(m.units), test: by(m.tests),
    source: by(m.origins || []), ofRequirement: new Map(), ofTarget: new Map(), findings: new Map() };
  for (const link of m.links) {
    put(held.ofRequirement, link.requirement, link);
    put(held.ofTarget, link.target, link);
  }
  for (const finding of m.findings) put(held.findings, finding.subject, finding);
  return held;
}
function put(map, key, value) { const list = map.get(key); if (list) list.push(value); else map.set(key, [value]); }

// ---- making elements: text is always text ----
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined) made.setAttribute(name, value);
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== "") made.append(child);
  return made;
}
const TONES = { proved: "good", passed: "good", recorded: "good", reached: "good", controlled: "good", reviewed: "good",
  failed: "bad", error: "bad", disproved: "bad", fail: "bad", uncontrolled: "bad", suspect: "bad", xpassed: "bad",
  open: "warn", below: "warn", unavailable: "warn", skipped: "warn", xfailed: "warn", retried: "warn", not_run: "warn",
  excepted: "calm", implied: "calm", stated: "calm" };
const words = (value) => String(value).replaceAll("_", " ");
const badge = (value) => el("span", { class: `badge ${TONES[value] || ""}` }, words(value));
const level = (reached, demanded) => el("span", { class: `level${reached === null ? "" : ` v${reached}`}${demanded === null ? "" : ` d${demanded}`}` },
  el("i"), reached === null ? "–" : `L${reached}`, demanded === null ? null : el("span", { class: "sub" }, ` of L${demanded}`));
const address = (kind, id) => `${kind}/${encodeURIComponent(id).replaceAll("%2F", "/")}`; // as page.py writes them
const to = (kind, id, text) => el("a", { href: `#${address(kind, id)}` }, text || id);
const place = (row) => el("span", { class: "place" }, (row.line ? `${row.file}:${row.line}` : row.file).split("/").flatMap((part, at) => at ? ["/", el("wbr"), part] : [part]));
const time = (us) => us >= 1e6 ? `${(us / 1e6).toFixed(1)} s` : us >= 1000 ? `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms` : `${us} µs`;
const section = (title, ...content) => content.flat().some((one) => one) ? [el("h4", null, title), ...content.flat()] : [];
const share = (value) => value ? `${value.count} of ${value.total}` : null;
const sentence = (name) => name.split(".").map((part) => words(part.replace(/^test_/, ""))).join(": "); // as page.py writes it
const testName = (id) => { const row = matrix().test.get(id); return sentence(row ? row.name : id.split("::").pop()); };
const codeName = (id) => { const row = matrix().code.get(id); return row && row.name ? row.name : id; };

// ---- one thing and what belongs to it ----
const SHOW = {
  requirement(id) {
    const { requirement, ofRequirement, hazard } = matrix(), row = requirement.get(id);
    if (!row) return null;
    const links = ofRequirement.get(id) || [], of = (kind) => links.filter((link) => link.kind === kind);
    return [top("requirement", row.id, row.title),
      el("p", { class: "facts" }, el("span", { class: `class ${row.safety_class}` }, row.safety_class), badge(row.verdict),
        row.verification === "test" ? level(row.level, row.demanded) : null, el("span", { class: "sub" }, `${row.type}, verified by ${row.verification}`)),
      el("p", null, row.text), el("p", { class: "sub" }, `Accepted when: ${row.criterion}`),
      row.why ? el("p", { class: "why" }, row.why) : null,
      section("Hazards it controls", list(row.hazards.map((name) => [to("hazard", name), ` ${hazard.get(name) ? hazard.get(name).title : ""}`]))),
      section("Code", list(of("implementation").map(codeLink))),
      section("Tests", list(of("test").map(testLink))),
      section("Stated", list(links.filter((link) => !["implementation", "test"].includes(link.kind)).map((link) => [badge(link.kind), " ", codeName(link.target), " ", place(link), el("div", { class: "sub" }, [link.reason, link.owner, link.due].filter(Boolean).join(", "))]))),
      section("Sources", list(row.sources.filter((source) => !row.hazards.includes(source.hazard)).map(sourceOf))),
      section("Part of", row.parent ? list([[to("requirement", row.parent), ` ${titleOf(row.parent)}`]]) : null),
      section("Parts", list(row.children.map((name) => [to("requirement", name), ` ${titleOf(name)}`]))),
      row.record ? section("Record", el("p", { class: "place" }, row.record)) : null,
      findingsOf(id), written(row)];
  },
  hazard(id) {
    const { hazard, requirement, ofRequirement } = matrix(), row = hazard.get(id);
    if (!row) return null;
    const chain = row.controls.map((name) => {
      const control = requirement.get(name);
      if (!control) return el("li", { class: "bad" }, `${name} is not there`);
      const links = ofRequirement.get(name) || [];
      const code = links.filter((link) => link.kind === "implementation"), tests = links.filter((link) => link.kind === "test");
      return el("li", { class: TONES[control.verdict] }, el("div", { class: "line" }, to("requirement", name), badge(control.verdict), el("span", { class: `class ${control.safety_class}` }, control.safety_class),
        control.verification === "test" ? level(control.level, control.demanded) : el("span", { class: "sub" }, `by ${control.verification}`)), control.title,
        code.length || tests.length ? el("details", { open: row.controls.length <= 3 ? "" : null }, el("summary", null, `${code.length} of code, ${tests.length} of tests`),
          el("ul", null, code.map((link) => el("li", { class: TONES[link.verdict] }, codeLink(link))), tests.map((link) => el("li", { class: TONES[outcomeOf(link.target)] }, testLink(link))))) : null);
    });
    return [top("hazard", row.id, row.title), el("p", { class: "facts" }, badge(row.controlled ? "controlled" : "uncontrolled"), row.severity ? el("span", { class: "sub" }, `harm: ${row.severity}`) : null),
      el("dl", null, pairs([["Hazard", row.hazard], ["Cause", row.cause], ["Situation", row.situation], ["Harm", row.harm], ["What is left", row.residual]])),
      row.why ? el("p", { class: "why" }, row.why) : null, section("Controls, and what proves them", el("ul", null, chain)), findingsOf(id), written(row)];
  },
  code(id) {
    const { code, ofTarget } = matrix(), row = code.get(id);
    if (!row) return null;
    return [top("unit of code", row.name || row.file, null), el("p", { class: "facts" }, el("span", { class: "sub" }, `${row.kind}, ${row.language}`), place(row)),
      section("Requirements", list((ofTarget.get(id) || []).map((link) => [requirementLine(link), linkFacts(link),
        link.partners.length ? el("details", null, el("summary", null, `run by ${link.partners.length} claiming tests`), list(link.partners.map((name) => testLine(name)))) : null]))),
      findingsOf(id), fingerprint(row)];
  },
  test(id) {
    const { test, ofTarget } = matrix(), row = test.get(id);
    if (!row) return null;
    return [top("test", sentence(row.name), null), el("p", { class: "facts" }, badge(row.outcome), place(row)),
      section("Verifies", list((ofTarget.get(id) || []).map((link) => [requirementLine(link), linkFacts(link),
        link.partners.length ? list(link.partners.map((name) => ["ran ", to("code", name, codeName(name))])) : null]))),
      section("Results", list(row.nodes.slice(0, 200).map((node) => [el("div", { class: "line" }, badge(node.outcome), el("span", { class: "sub" }, time(node.duration_us))), el("code", null, node.node), node.reason ? el("div", { class: "sub" }, node.reason) : null])),
        row.nodes.length > 200 ? el("p", { class: "sub" }, `and ${row.nodes.length - 200} more`) : null),
      findingsOf(id), fingerprint(row)];
  },
  finding(id) {
    const finding = matrix().m.findings[Number(id)];
    if (!finding) return null;
    const kind = kindOf(finding.subject);
    return [top("finding", words(finding.code), null), el("p", { class: "facts" }, badge(finding.severity), place(finding)), el("p", null, finding.text),
      section("What to do", el("p", null, finding.remedy)), section("Of", el("p", null, kind ? to(kind, finding.subject) : finding.subject))];
  },
  source(id) {
    const row = matrix().source.get(id);
    const cited = matrix().m.requirements.filter((one) => one.sources.some((source) => Object.values(source).includes(id)));
    if (!row && !cited.length) return null;
    return [top("source", id, row ? row.title : null), row ? el("dl", null, pairs([["Document", row.document], ["Edition", row.edition], ["Text", row.read]])) : null,
      section("Requirements", list(cited.map((one) => [to("requirement", one.id), " ", badge(one.verdict), ` ${one.title}`]))), row ? written(row) : null];
  },
};
function top(kind, id, title) {
  const close = el("button", { type: "button", class: "button", "aria-label": "Close" }, "✕");
  close.addEventListener("click", () => go(""));
  return [el("header", null, el("div", null, el("p", { class: "sub" }, kind), title ? el("span", { class: "id" }, id) : null), close), el("h3", null, title || id)];
}
const list = (items) => items.length ? el("ul", null, items.map((item) => el("li", null, item))) : null;
const pairs = (told) => told.filter(([, value]) => value).map(([name, value]) => [el("dt", null, name), el("dd", null, value)]);
const titleOf = (id) => { const row = matrix().requirement.get(id); return row ? row.title : "is not there"; };
const outcomeOf = (id) => { const row = matrix().test.get(id); return row ? row.outcome : "not_run"; };
const kindOf = (id) => ["requirement", "hazard", "code", "test"].find((kind) => matrix()[kind].has(id));
const requirementLine = (link) => el("div", { class: "line" }, to("requirement", link.requirement), badge(link.verdict), level(link.level, link.demanded), el("span", { class: "sub" }, titleOf(link.requirement)));
const testLine = (id) => el("div", { class: "line" }, badge(outcomeOf(id)), to("test", id, testName(id)));
function codeLink(link) {
  return [el("div", { class: "line" }, to("code", link.target, codeName(link.target)), badge(link.verdict), level(link.level, link.demanded)), place(link), linkFacts(link)];
}
function testLink(link) { return [testLine(link.target), el("div", { class: "line" }, level(link.level, link.demanded), place(link)), linkFacts(link)]; }
function linkFacts(link) {
  const facts = [share(link.branches) ? `branches ${share(link.branches)}` : null, link.mutants ? `mutants ${link.mutants.killed} of ${link.mutants.tried} killed${link.mutants.exhausted ? `, ${link.mutants.total} there are` : ""}` : null].filter(Boolean).join(" · ");
  const review = link.review, reviewed = review.status === "not_reviewed" ? "not reviewed" : `${words(review.status)}: ${review.meaning} by ${review.reviewer}, ${review.reviewed_at}`;
  return [link.why ? el("div", { class: "sub" }, link.why) : null, el("div", { class: "sub" }, facts ? `${facts} · ${reviewed}` : reviewed),
    review.moved.length ? el("div", { class: "why" }, `moved since: ${review.moved.join(", ")}`) : null,
    link.mutants && link.mutants.survivors.length ? el("details", null, el("summary", null, `${link.mutants.survivors.length} mutants survive`), list(link.mutants.survivors.map((one) => el("code", null, one)))) : null];
}
function sourceOf(source) {
  const [kind, id] = Object.entries(source).find(([, value]) => value) || ["", ""], row = matrix().source.get(id);
  if (kind === "hazard") return [to("hazard", id), " ", matrix().hazard.get(id) ? matrix().hazard.get(id).title : ""];
  return row ? [to("source", id), " ", row.title, el("div", { class: "sub" }, `${row.document}${row.read ? `; text: ${row.read}` : ""}`)] : `${kind}: ${id}`;
}
function findingsOf(id) {
  const found = matrix().findings.get(id) || [];
  return section("Findings", list(found.map((one) => [el("div", { class: "line" }, badge(one.severity), words(one.code), place(one)), one.text, el("div", { class: "sub" }, one.remedy)])));
}
const written = (row) => section("Written in", el("p", null, place(row)), row.fingerprint ? el("p", { class: "sub" }, el("code", null, row.fingerprint)) : null);
const fingerprint = (row) => section("Fingerprint", el("p", { class: "sub" }, el("code", null, row.fingerprint)));

// ---- tabs, filters, rows ----
const tabs = $$(".tab"), lists = $$(".list"), find = $("#find"), selects = $$(".filter select"), detail = $(".detail"), split = $(".split");
const KIND_TABS = { requirement: "requirements", hazard: "hazards", code: "code", test: "tests", finding: "findings", source: "sources" };
let active = "requirements";
function show(name) {
  active = name;
  for (const tab of tabs) { const on = tab.id === `tab-${name}`; tab.setAttribute("aria-selected", String(on)); tab.tabIndex = on ? 0 : -1; }
  for (const one of lists) one.hidden = one.id !== name;
  for (const select of selects) select.hidden = !select.dataset.in.split(" ").includes(name);
  filter();
}
const haystacks = new WeakMap();
function haystack(row) {
  let text = haystacks.get(row);
  if (text === undefined) {
    text = row.textContent;
    const [kind, id] = named(row.id);
    if (kind === "requirement") { const one = matrix().requirement.get(id); if (one) text += ` ${one.text} ${one.criterion} ${one.units.join(" ")} ${one.tests.join(" ")} ${one.sources.map((s) => Object.values(s).join(" ")).join(" ")}`; }
    if (kind === "hazard") { const one = matrix().hazard.get(id); if (one) text += ` ${one.cause} ${one.situation} ${one.controls.join(" ")}`; }
    if (kind === "code" || kind === "test") text += ` ${id}`;
    haystacks.set(row, text = text.toLowerCase());
  }
  return text;
}
function rowsOf(name) { return $(`#${name} tbody`).rows; }
function filter() {
  const terms = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = selects.filter((select) => !select.hidden && select.value).map((select) => [select.dataset.by, select.value]);
  let shown = 0, all = 0;
  for (const row of rowsOf(active)) {
    if (row.className === "on-paper") continue;
    all += 1;
    const fits = wanted.every(([by, value]) => row.dataset[by] === value) && terms.every((term) => haystack(row).includes(term));
    if (row.hidden === fits) row.hidden = !fits;
    shown += fits;
  }
  $(".count").textContent = shown === all ? `${all}` : `${shown} of ${all}`;
  $(".empty").hidden = shown > 0;
  $(`#${active} > div`).hidden = shown === 0;
}
function clear() { find.value = ""; for (const select of selects) select.value = ""; filter(); }
// An address is KIND/ID; whatever is none of ours leads to nothing.
function named(text) {
  const at = text.indexOf("/"), kind = text.slice(0, at);
  if (at < 0 || !Object.hasOwn(SHOW, kind)) return ["", ""];
  try { return [kind, decodeURIComponent(text.slice(at + 1))]; } catch { return ["", ""]; }
}
function go(hash) { if (hash) location.hash = hash; else { history.pushState(null, "", location.pathname + location.search); route(); } }
let lastRow = null;
function route() {
  const [kind, id] = named(location.hash.slice(1));
  if (lastRow) lastRow.classList.remove("current");
  const made = kind ? SHOW[kind](id) : null;
  detail.hidden = !made;
  split.classList.toggle("opened", Boolean(made));
  if (!made) return;
  detail.replaceChildren(...made.flat(Infinity).filter(Boolean));
  detail.scrollTop = 0;
  const row = document.getElementById(address(kind, id));
  if (row && row.closest(".list").id === active && !row.hidden) {
    lastRow = row;
    row.classList.add("current");
    if (matchMedia("(max-width: 62rem)").matches) { detail.scrollIntoView(); return; }
    const seen = row.getBoundingClientRect();
    if (seen.top < 130 || seen.bottom > innerHeight) row.scrollIntoView({ block: "center" });
  }
}
function turn(name) {
  show(name);
  const top = split.offsetTop - $(".bar-top").offsetHeight;
  if (scrollY > top) scrollTo({ top });
}
for (const tab of tabs) tab.addEventListener("click", () => turn(tab.id.slice(4)));
$(".tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = tabs[(tabs.findIndex((tab) => tab.id === `tab-${active}`) + step + tabs.length) % tabs.length];
  turn(next.id.slice(4)); next.focus(); event.preventDefault();
});
for (const one of lists) {
  one.addEventListener("click", (event) => {
    if (event.target.closest("a") || String(getSelection())) return;
    const row = event.target.closest("tbody tr");
    if (row && row.id) { row.tabIndex = -1; row.focus({ preventScroll: true }); go(row.id); }
  });
  $$("th button", one).forEach((button, column) => button.addEventListener("click", () => sort(one, button.parentElement, column)));
}
function sort(one, head, column) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of $$("th", one)) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const compare = new Intl.Collator("en", { numeric: true }).compare, body = $("tbody", one);
  const keyed = [...body.rows].map((row) => [row.cells[column].textContent.trim(), row]);
  keyed.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
  body.append(...keyed.map(([, row]) => row));
}
find.addEventListener("input", filter);
for (const select of selects) select.addEventListener("change", filter);
$(".filter").addEventListener("submit", (event) => event.preventDefault());
$("#clear").addEventListener("click", clear);
addEventListener("hashchange", route);
addEventListener("popstate", route);
addEventListener("load", route); // the browser has by then gone to the row itself

// ---- keys ----
const help = $("#help");
$("#keys").addEventListener("click", () => help.showModal());
function step(by) {
  const rows = [...rowsOf(active)].filter((row) => !row.hidden && row.id);
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement.closest("tr"));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
  next.tabIndex = -1; next.focus({ preventScroll: true }); next.scrollIntoView({ block: "nearest" });
  if (!detail.hidden) { history.replaceState(null, "", `#${next.id}`); route(); }
}
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.closest("input, select");
  if (event.key === "Escape") {
    if (typing) { if (find.value) clear(); else event.target.blur(); } else if (!detail.hidden) go(""); else clear();
  } else if (typing) {
    if (event.key === "Enter" || (event.key === "ArrowDown" && event.target === find)) { step(1); event.preventDefault(); }
  } else if (event.key === "/") { find.focus(); find.select(); event.preventDefault();
  } else if (event.key === "?") { help.showModal();
  } else if (event.key === "j" || event.key === "ArrowDown") { step(1); event.preventDefault();
  } else if (event.key === "k" || event.key === "ArrowUp") { step(-1); event.preventDefault();
  } else if (event.key === "Enter" && event.target.matches("tbody tr")) { go(event.target.id);
  } else if (/^[1-9]$/.test(event.key) && tabs[event.key - 1]) { turn(tabs[event.key - 1].id.slice(4)); }
});

// ---- theme, paper ----
const THEMES = ["auto", "light", "dark"];
function theme(name) {
  if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
  $("#theme").textContent = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" }[name];
}
let chosen = "auto";
try { chosen = localStorage.getItem("matrix-theme") || "auto"; } catch { /* a file's page may have no storage */ }
if (!THEMES.includes(chosen)) chosen = "auto";
theme(chosen);
$("#theme").addEventListener("click", () => {
  chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
  theme(chosen);
  try { localStorage.setItem("matrix-theme", chosen); } catch { /* then it holds until the page is left */ }
});
addEventListener("beforeprint", () => {
  if (active !== "requirements" && active !== "hazards") return;
  for (const row of [...rowsOf(active)].filter((one) => !one.hidden && one.id)) row.after(onPaper(row));
});
addEventListener("afterprint", () => $$("tr.on-paper").forEach((row) => row.remove()));
function onPaper(row) {
  const [kind, id] = named(row.id), { requirement, hazard, ofRequirement } = matrix();
  const cell = el("td", { colspan: row.cells.length });
  if (kind === "requirement") {
    const one = requirement.get(id), links = ofRequirement.get(id) || [];
    cell.append(el("p", null, one.text), el("p", null, `Accepted when: ${one.criterion}`), one.why ? el("p", null, `Why: ${one.why}`) : "",
      el("ul", null, links.map((link) => el("li", null, `${link.kind}: ${link.target} (${link.file}:${link.line}), ${link.level === null ? "stated" : `L${link.level}`}, ${words(link.verdict)}${link.kind === "test" ? `, ${outcomeOf(link.target)}` : ""}, ${words(link.review.status)}`))));
  } else {
    const one = hazard.get(id);
    cell.append(el("p", null, `Cause: ${one.cause} Situation: ${one.situation} Harm: ${one.harm}`),
      el("ul", null, one.controls.map((name) => el("li", null, `${name} ${titleOf(name)}: ${requirement.get(name) ? words(requirement.get(name).verdict) : ""}`))));
  }
  return el("tr", { class: "on-paper" }, cell);
}

const [first] = named(location.hash.slice(1));
show(first ? KIND_TABS[first] : "requirements");
route();
})();
