"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;

  // One slider over the training: every figure knows the places at which it is seen.
  const moment = find("moment");
  const frames = [...document.querySelectorAll("[data-at]")].map((figure) => [figure, figure.dataset.at.split(" ")]);
  const shares = moment ? moment.dataset.shares.split(" ") : [];
  const show = () => {
    for (const [figure, at] of frames) figure.hidden = !at.includes(moment.value);
    const share = shares[moment.value] + " %";
    find("share").textContent = share;
    moment.setAttribute("aria-valuetext", share + " of the training");
  };
  if (moment) {
    moment.addEventListener("input", show);
    show();
  }

  // While runs go on the file is written again. What was chosen outlives looking for a newer one.
  const seconds = Number(document.body.dataset.refresh);
  const key = "report " + location.pathname;
  const remember = () => {
    const chosen = document.querySelector("[name=axis]:checked");
    sessionStorage.setItem(key, JSON.stringify({
      scroll: window.scrollY,
      moment: moment && moment.value !== moment.max ? moment.value / moment.max : null,
      axis: chosen ? chosen.id : null,
      open: [...document.querySelectorAll("details[open]")].map((details) => details.querySelector("summary").textContent),
      focus: document.activeElement ? document.activeElement.id : "",
      refresh: find("refresh").checked,
    }));
  };
  const recall = () => {
    const text = sessionStorage.getItem(key);
    sessionStorage.removeItem(key);
    if (!text) return;
    const kept = JSON.parse(text);
    if (moment && kept.moment !== null) {
      moment.value = Math.round(kept.moment * moment.max);
      show();
    }
    if (kept.axis && find(kept.axis)) find(kept.axis).checked = true;
    for (const details of document.querySelectorAll("details"))
      details.open = kept.open.includes(details.querySelector("summary").textContent);
    if (find("refresh")) find("refresh").checked = kept.refresh;
    if (kept.focus && find(kept.focus)) find(kept.focus).focus({ preventScroll: true });
    window.scrollTo({ top: kept.scroll, behavior: "instant" });
  };
  try {
    history.scrollRestoration = "manual";
    recall();
  } catch {
    // A browser that keeps nothing shows the page from its beginning.
  }
  if (seconds) {
    setInterval(() => {
      if (document.hidden || !find("refresh").checked) return;
      try {
        remember();
      } catch {
        // As above.
      }
      location.reload();
    }, seconds * 1000);
  }
})();
