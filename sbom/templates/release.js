"use strict";
// The list of components narrows as one types; printing opens what is folded. Without scripts everything is there.
const wanted = document.getElementById("wanted");
const rows = Array.from(document.querySelectorAll("#components tbody tr"));
const shown = document.getElementById("shown");
const list = document.getElementById("list");
wanted.hidden = false;
wanted.addEventListener("input", () => {
  list.open = true;
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    count += row.hidden ? 0 : 1;
  }
  shown.textContent = count + " of " + rows.length;
});
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
