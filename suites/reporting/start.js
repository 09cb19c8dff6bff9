// The page's own script: it hands each specification to Vega, and the rows of the table to DataTables.
const content = (id) => JSON.parse(document.getElementById(id).textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const opened = [];
// Paper is light, and what is folded on the screen is open on it, except what only a screen has a use for. The page is
// divided into sheets after "beforeprint" and before the media query changes, so what is opened later would be cut off.
const theme = (printing) => {
  document.documentElement.classList.toggle("dark", dark.matches && !printing);
  if (printing) for (const part of document.querySelectorAll("details:not([open]):not(.unprinted)")) { part.open = true; opened.push(part); }
  else for (const part of opened.splice(0)) part.open = false;
};
dark.addEventListener("change", () => theme(false));
addEventListener("beforeprint", () => theme(true));
addEventListener("afterprint", () => theme(false));
theme(false);
const views = new Map();
for (const plot of document.querySelectorAll("[data-spec]"))
  try {
    const spec = content(plot.dataset.spec), about = content(plot.dataset.about);
    const { view } = await vegaEmbed(plot, spec, { mode: "vega-lite", renderer: "svg", ast: true, actions: false });
    views.set(plot, { view, labels: about.labels });
    if (about.x) hover(plot, view, spec.datasets.rows, about);
  } catch (error) {
    plot.textContent = `This plot cannot be drawn: ${error.message}`;
    console.error(error);
  }
// One legend for all plots of its part: a box switches its strategy in every one of them.
for (const legend of document.querySelectorAll(".legend"))
  legend.addEventListener("change", ({ target }) => {
    for (const plot of legend.closest(".part").querySelectorAll("[data-spec]")) {
      const { view, labels } = views.get(plot) ?? { labels: [] }, place = labels.indexOf(target.value);
      if (place >= 0) view.signal(`show_${place}`, target.checked).runAsync();
    }
  });
// A link to a part that is folded opens it.
const unfold = () => {
  const aim = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = aim && (aim.closest("details") ?? aim.parentElement.querySelector(`#${CSS.escape(aim.id)} ~ details`));
  if (folded && (aim.closest("details") || aim.dataset.folds)) folded.open = true;
};
addEventListener("hashchange", unfold);
unfold();
const rows = content("rows");
if (rows.data.length) {
  const { columns, data, cases, best } = rows, last = columns.length;
  const table = new DataTable("#numbers", {
    columns: [...columns, { title: "case", type: "num", visible: false, searchable: false }],
    data: data.map((row, i) => [...row, rows.case[i]]),
    order: [],
    orderFixed: { pre: [[last, "asc"]] },
    orderCellsTop: true,
    pageLength: 25,
    scrollX: true,
    deferRender: true,
    fixedColumns: { start: 1 },
    rowGroup: { dataSrc: last, startRender: (shown, place) => cases[place] },
    columnControl: [{ target: 1, content: ["search"] }],
    createdRow: (row, values, i) => {
      if (!best.includes(i)) return;
      row.classList.add("best");
      row.firstElementChild.append(" \u2605");
    },
  });
  document.getElementById("grouped").addEventListener("change", ({ target }) => {
    if (target.checked) table.rowGroup().enable();
    else table.rowGroup().disable();
    table.order.fixed(target.checked ? { pre: [[last, "asc"]] } : {});
    table.draw();
  });
  const body = document.querySelector(".dt-scroll-body");
  for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", "Every case, scrolled"]])
    body.setAttribute(name, value);
  for (const cell of document.querySelectorAll(".dt-scroll-head thead tr:nth-child(2) [data-dt-column]"))
    for (const field of cell.querySelectorAll("input, select"))
      field.setAttribute("aria-label", `${field.tagName === "INPUT" ? "filter" : "how to filter"} ${columns[cell.dataset.dtColumn].title}`);
}
document.documentElement.dataset.ready = "yes";
