// A vertical rule under the pointer, and every strategy's value with its interval at that place of the axis.
const shownNumber = (value) => (value === null || value === undefined ? "" : Math.abs(value) >= 1e4 || Number.isInteger(value)
  ? value.toLocaleString("en-US", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(4))));

function made(tag, attributes, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

function hover(plot, view, rows, { x: across, y: upwards, labels, colors }) {
  const rule = made("div", { className: "rule", hidden: true }), tip = made("div", { className: "tip", hidden: true });
  tip.setAttribute("role", "status");
  plot.append(rule, tip);
  let chosen = null;
  const shown = () => {
    const panel = plot.dataset.several ? view.signal("panel") : null;
    return rows.filter((row) => view.signal(`show_${row.i}`) && (panel === null || row.panel === panel));
  };
  // Where the axes begin inside the drawing, beside what Vega leaves free around it.
  const origin = () => {
    const free = view.padding(), [x, y] = view.origin();
    return [x + (free.left ?? free), y + (free.top ?? free)];
  };
  const left = (value) => origin()[0] + view.scale("x")(value);
  const drawing = () => plot.querySelector("svg").getBoundingClientRect();

  function hide() { rule.hidden = tip.hidden = true; chosen = null; }
  function show(value) {
    const at = left(value), [, top] = origin(), box = drawing(), around = plot.getBoundingClientRect();
    const shift = box.left - around.left;
    const found = labels.flatMap((label, i) => {
      const mine = shown().filter((row) => row.i === i);
      if (!mine.length) return [];
      const near = mine.reduce((a, b) => (Math.abs(left(b.x) - at) < Math.abs(left(a.x) - at) ? b : a));
      return Math.abs(left(near.x) - at) <= 4 ? [near] : [];
    }).sort((a, b) => b.y - a.y);
    if (!found.length) return hide();
    chosen = value;
    const banded = found.some((row) => row.low !== null && row.low !== undefined && (row.low !== row.y || row.high !== row.y));
    tip.replaceChildren(made("table", {},
      made("caption", {}, `${upwards}, ${across}: ${shownNumber(value)}`),
      made("thead", {}, made("tr", {}, made("th", { scope: "col" }, "strategy"), made("th", { scope: "col" }, "value"), ...(banded ? [made("th", { scope: "col" }, "interval")] : []))),
      made("tbody", {}, ...found.map((row) => {
        const dot = made("span", { className: "dot" });
        dot.style.background = colors[row.i];
        return made("tr", {}, made("th", { scope: "row" }, dot, row.label), made("td", {}, shownNumber(row.y)),
          ...(banded ? [made("td", {}, row.low === row.high ? "" : `[${shownNumber(row.low)}, ${shownNumber(row.high)}]`)] : []));
      }))));
    rule.hidden = tip.hidden = false;
    Object.assign(rule.style, { left: `${shift + at}px`, top: `${top}px`, height: `${view.height()}px` });
    const wide = tip.offsetWidth, room = plot.clientWidth;
    const place = shift + at + 14 + wide <= room ? shift + at + 14 : Math.max(0, Math.min(shift + at - 14 - wide, room - wide));
    Object.assign(tip.style, { left: `${place}px`, top: `${top + 4}px` });
  }
  const places = () => [...new Set(shown().map((row) => row.x))].sort((a, b) => a - b);
  plot.addEventListener("pointermove", ({ clientX }) => {
    const at = clientX - drawing().left, every = places();
    if (every.length) show(every.reduce((a, b) => (Math.abs(left(b) - at) < Math.abs(left(a) - at) ? b : a)));
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key], every = places();
    if (event.key === "Escape") hide();
    if (!way || !every.length) return;
    event.preventDefault();
    const now = every.indexOf(chosen), next = now < 0 ? (way > 0 ? 0 : every.length - 1) : now + way;
    show(every[Math.min(Math.max(next, 0), every.length - 1)]);
  });
}
