// The memory calculator: what each strategy needs by the closed formula of its peak, and what fits, as a map.
const GIB = 2 ** 30, BATCHES = 13, LENGTHS = 14, CELL_PX = 18;

// The largest number below 2^24 for which need(number) holds; 0 if not even 1 does. need must not come back true.
const mostThat = (need) => {
  let low = 0, high = 1;
  while (high < 2 ** 24 && need(high)) { low = high; high *= 2; }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (need(middle)) low = middle;
    else high = middle;
  }
  return low;
};

function calculator(root) {
  const { models } = given("tools");
  const field = (name) => root.querySelector(`[data-set="${name}"]`);
  let model = models[0], at, dtype, room;

  function choose(name) {
    model = models.find((one) => one.name === name);
    at = { B: model.start.B, S: model.start.S, N: model.start.N };
    dtype = model.memory.dtype;
    room = model.memory.gib;
    for (const [letter, number] of Object.entries(at)) field(letter).value = number;
    options(field("dtype"), Object.keys(model.memory.weights).map((d) => [d, d]), dtype);
    field("room").value = room;
  }
  const bytes = (formula, where) => model.memory.weights[dtype] + peakBytes(formula, dtype, where);
  const allowed = (formula, where) => formula.longest === null || where.N <= formula.longest;
  const fits = (formula, where) => allowed(formula, where) && bytes(formula, where) <= room * GIB;

  function draw() {
    const found = model.memory.formulas.map((formula) => ({
      formula, ok: fits(formula, at), allowed: allowed(formula, at), all: bytes(formula, at),
      batch: mostThat((B) => fits(formula, { ...at, B })), length: mostThat((N) => N < 2 || fits(formula, { ...at, N })),
    }));
    const most = (n) => (n >= 2 ** 24 - 1 ? "no limit below 16.7 million" : whole(n));
    const cell = (text, kind = "number") => html("td", { class: kind }, text);
    root.querySelector("tbody").replaceChildren(...found.map(({ formula, ok, allowed, all, batch, length }) =>
      html("tr", { class: ok ? "fits" : "over" }, html("th", { scope: "row" }, model.names[formula.label]),
        cell(allowed ? (ok ? "fits" : "does not fit") : `holds at most ${whole(formula.longest)} tokens`, "verdict"),
        cell(bytesTold(all)), cell(bytesTold(all - model.memory.weights[dtype])), cell(most(batch)), cell(most(length)))));
    root.querySelector(".maps").replaceChildren(...found.map((one) => map(one)));
    const good = found.filter((one) => one.ok).length;
    root.querySelector(".told").textContent =
      `At batch ${whole(at.B)}, ${whole(at.S)} -> ${whole(at.N)} in ${dtype}, ${good === found.length ? "every strategy fits" : good ? `${good} of ${found.length} strategies fit` : "no strategy fits"} in ${room} GiB. The weights take ${bytesTold(model.memory.weights[dtype])}.`;
  }

  function map({ formula, ok, batch }) {
    const left = 44, top = 6, width = left + LENGTHS * CELL_PX + 8, height = top + BATCHES * CELL_PX + 38;
    const x = (n) => left + (Math.log2(n) - 4 + 0.5) * CELL_PX, y = (b) => top + (BATCHES - Math.log2(b) - 0.5) * CELL_PX;
    const cells = [];
    for (let b = 0; b < BATCHES; b += 1)
      for (let n = 0; n < LENGTHS; n += 1) {
        const where = { ...at, B: 2 ** b, N: 2 ** (n + 4) };
        cells.push(svg("rect", { class: fits(formula, where) ? "fits" : "over", "data-b": where.B, "data-n": where.N,
          x: x(where.N) - CELL_PX / 2 + 1, y: y(where.B) - CELL_PX / 2 + 1, width: CELL_PX - 2, height: CELL_PX - 2 }));
      }
    const tick = (n) => (n >= 1024 ? `${n / 1024}k` : `${n}`);
    const labels = [
      ...[1, 16, 256, 4096].map((b) => svg("text", { x: left - 5, y: y(b) + 4, "text-anchor": "end" }, tick(b))),
      ...[16, 128, 1024, 8192, 65536].map((n) => svg("text", { x: x(n), y: top + BATCHES * CELL_PX + 15, "text-anchor": "middle" }, tick(n))),
      svg("text", { x: left + LENGTHS * CELL_PX / 2, y: height - 6, "text-anchor": "middle" }, "target (tokens)"),
      svg("text", { x: 12, y: top + BATCHES * CELL_PX / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${top + BATCHES * CELL_PX / 2})` }, "batch (sentences)")];
    const held = (value, low, high) => Math.min(Math.max(value, low), high);
    const here = svg("circle", { class: "here", cx: x(held(at.N, 16, 2 ** 17)), cy: y(held(at.B, 1, 4096)), r: 7 });
    const told = `${model.names[formula.label]}: ${batch ? `up to ${counted(batch, "sentence")}` : "not one sentence"} at ${counted(at.N, "target token")}`;
    return html("figure", {}, html("figcaption", {}, html("strong", {}, model.names[formula.label]), ` ${ok ? "fits" : "does not fit"}`),
      svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told }, ...cells, ...labels, here));
  }

  root.addEventListener("input", ({ target }) => {
    const name = target.dataset.set;
    if (name === "model") choose(target.value);
    else if (name === "dtype") dtype = target.value;
    else if (name === "room") room = Number(target.value) > 0 ? Number(target.value) : room;
    else if (name) at[name] = numberOf(target, at[name]);
    draw();
  });
  root.addEventListener("change", ({ target }) => { if (target.dataset.set in at) target.value = at[target.dataset.set]; });
  root.addEventListener("click", ({ target }) => {
    if (!target.dataset.b) return;
    at.B = field("B").value = Number(target.dataset.b);
    at.N = field("N").value = Number(target.dataset.n);
    draw();
  });
  if (field("model")) options(field("model"), models.map((one) => [one.name, one.title]), model.name);
  choose(model.name);
  draw();
}
for (const root of document.querySelectorAll(".fitting")) calculator(root);
// A page that is the tools alone is ready now; any other page says so when its plots are drawn.
if (!document.getElementById("rows")) document.documentElement.dataset.ready = "yes";
