// The page's own script: it hands each specification to Vega, and the rows of the table to DataTables.
const content = (id) => JSON.parse(document.getElementById(id).textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", theme);
theme();
for (const plot of document.querySelectorAll("[data-spec]"))
  try {
    await vegaEmbed(plot, content(plot.dataset.spec), { mode: "vega-lite", renderer: "svg", ast: true, actions: false });
  } catch (error) {
    plot.textContent = `This plot cannot be drawn: ${error.message}`;
    console.error(error);
  }
const rows = content("rows");
if (rows.data.length) {
  new DataTable("#numbers", {
    ...rows,
    order: [],
    orderCellsTop: true,
    pageLength: 25,
    scrollX: true,
    deferRender: true,
    columnControl: [{ target: 1, content: ["search"] }],
  });
  const body = document.querySelector(".dt-scroll-body");
  for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", "Every case, scrolled"]])
    body.setAttribute(name, value);
  for (const cell of document.querySelectorAll(".dt-scroll-head thead tr:nth-child(2) [data-dt-column]"))
    for (const field of cell.querySelectorAll("input, select"))
      field.setAttribute("aria-label", `${field.tagName === "INPUT" ? "filter" : "how to filter"} ${rows.columns[cell.dataset.dtColumn].title}`);
}
document.documentElement.dataset.ready = "yes";
