// The slider: one decoder layer at step k under two strategies, with every matrix to scale.
const BLOCKS = [
  ["self", "Self-attention", "x: embeddings of the rows fed, or the layer before"],
  ["cross", "Cross-attention", "x after self-attention; K and V from the encoder"],
  ["ffn", "Feed-forward network", "x after cross-attention"],
  ["lm_head", "After the last layer", "the last row of x"],
];
// Product -> what reads its result: the edges of the diagram.
const FLOWS = {
  "self.qkv": "q, K to scores; V to context", "self.scores": "softmax, to context", "self.context": "to out", "self.out": "added to x",
  "cross.q": "q to scores", "cross.kv": "K to scores; V to context", "cross.scores": "softmax, to context", "cross.context": "to out",
  "cross.out": "added to x", "ffn.wi": "activation, to wo", "ffn.wo": "added to x", "lm_head": "the next token",
};
const TOKEN_PX = 52, FEATURE_PX = 56, STRIP_PX = 300;

function slider(root) {
  const { models } = given("tools");
  const field = (name) => root.querySelector(`[data-set="${name}"]`);
  const button = (name) => root.querySelector(`[data-do="${name}"]`);
  const panes = [...root.querySelectorAll(".pane")];
  let model = models[0], at = { ...model.start }, sides = [...model.sides], timer = 0;

  const strategy = (label) => model.layer.strategies.find((one) => one.label === label);
  // Where a step reads a length bucket, the keys M are the first bucket that holds k, and at most the buffer.
  // The first step is k = P, after the forced tokens; the last one fills the rows of the target.
  const lastK = () => model.first - 1 + at.N;
  const sizes = (one, k = at.k) => {
    const C = one.capacity ?? lastK(), M = Math.min(one.buckets.find((size) => size >= k) ?? C, C);
    return { ...model.layer.sizes, ...at, k, C, M, tokens: lastK() };
  };
  const flopsOf = (one, k) => {
    const now = sizes(one, k);
    return one.products.filter((p) => !p.once).reduce((sum, p) => sum + flops(p, now), 0);
  };
  const flops = (product, now) => {
    const size = (name) => evaluated(product.sizes[name], now);
    return 2 * size("batch") * size("rows") * size("inner") * size("cols") * product.count;
  };

  function choose(name) {
    model = models.find((one) => one.name === name);
    at = { ...model.start };
    sides = [...model.sides];
    for (const [letter, number] of Object.entries(at)) if (field(letter)) field(letter).value = number;
    panes.forEach((pane, side) => options(pane.querySelector("select"), model.layer.strategies.map((s) => [s.label, model.names[s.label]]), sides[side]));
  }

  function step(k) {
    at.k = Math.min(Math.max(k, model.first), lastK());
    draw();
  }
  function pause() {
    clearInterval(timer);
    timer = 0;
    button("play").textContent = "Play";
    root.querySelector(".told").setAttribute("aria-live", "polite");
  }
  function play() {
    if (timer) return pause();
    if (at.k === lastK()) at.k = model.first - 1;
    const stride = Math.max(1, Math.round(at.N / 120));
    root.querySelector(".told").setAttribute("aria-live", "off");
    button("play").textContent = "Pause";
    timer = setInterval(() => { step(at.k + stride); if (at.k >= lastK()) pause(); }, 130);
  }

  function draw() {
    field("k").min = model.first;
    field("k").max = lastK();
    field("k").value = at.k;
    field("k").setAttribute("aria-valuetext", `step ${at.k} of ${lastK()}`);
    const cost = sides.map((label) => flopsOf(strategy(label), at.k));
    const most = Math.max(...sides.map((label) => Math.max(flopsOf(strategy(label), lastK()), flopsOf(strategy(label), model.first))));
    panes.forEach((pane, side) => {
      const one = strategy(sides[side]), now = sizes(one);
      const tooLong = one.capacity !== null && lastK() > one.capacity;
      pane.querySelector(".content").replaceChildren(
        ...(tooLong
          ? [html("p", { class: "said" }, `${model.names[one.label]} holds at most ${counted(one.capacity, "token")}: choose a shorter target.`)]
          : [html("p", { class: "said" }, said(one, now)), strips(one, now), bar(cost[side], most)]));
      pane.querySelector(".products").replaceChildren(...(tooLong ? [] : layer(one, now)));
    });
    const [first, second] = cost, [a, b] = sides.map((label) => model.names[label]);
    const ratio = first / second, factor = (x) => `${x >= 99.5 ? x.toFixed(0) : Number(x.toPrecision(2))}x`;
    root.querySelector(".told").textContent = `Step k = ${whole(at.k)} of ${whole(lastK())}. ` +
      (a === b ? "" : Math.abs(ratio - 1) < 0.005 ? `${a} and ${b} multiply as much. ` : ratio > 1
        ? `${a} multiplies ${factor(ratio)} as much as ${b}. ` : `${b} multiplies ${factor(1 / ratio)} as much as ${a}. `) +
      "Times are not computed here: they are measured.";
    root.dataset.k = at.k;
  }

  const rowsOf = (one, now) => (one.rows === "1" ? 1 : now[one.rows]);
  function said(one, now) {
    const rows = rowsOf(one, now), kept = evaluated(one.kept, now), moved = evaluated(one.moved, now);
    const keys = one.keys === "1" ? 1 : now[one.keys];
    const parts = [rows > 1 || one.rows !== "1"
      ? `${counted(rows - 1, "row").replace(/ rows?$/, "")} of ${counted(rows, "row")} computed before.`
      : `1 new row computed; ${counted(kept, "earlier row")} kept.`];
    if (moved) parts.push(`${moved === 1 ? "The kept row is" : `All ${whole(moved)} kept rows are`} copied to make room.`);
    if (one.reserved === "C") parts.push(`The buffer has ${counted(now.C, "row")}, of which ${whole(now.C - now.k)} ${now.C - now.k === 1 ? "is" : "are"} empty${keys === now.k ? "" : keys === now.C ? " and read all the same, under a mask" : `; ${whole(keys)} are read, under a mask`}.`);
    parts.push(one.cross ? `K and V of the ${counted(now.S, "source token")} are kept.` : `K and V of the ${counted(now.S, "source token")} are computed again.`);
    if (one.beams) parts.push(...saidOfBeams(one.beams, now, keys));
    return parts.join(" ");
  }
  function saidOfBeams({ reordered, table, gathered, cross }, now, keys) {
    const rows = now.k === 2 ? "the kept one is" : `all ${whole(now.k - 1)} kept ones are`;
    const before = now.k === 1 ? "" : reordered ? `; as beams are reordered, ${rows} copied before the step`
      : table ? "; a table that says where they lie is reordered before the step" : "";
    return [`Each of the ${whole(now.W)} beams has such rows${before}.`,
      ...(gathered ? [`${counted(keys, "row")} of each ${keys === 1 ? "is" : "are"} gathered to be read.`] : []),
      cross === "shared" ? "The beams of a sentence share what is kept of its source."
        : `Each beam has its own copy of what is kept of the source${cross === "expanded" ? ", which is reordered too" : ""}.`];
  }

  // A strip has a column for each token: what is kept, copied, computed again, new, and reserved but empty.
  function strips(one, now) {
    const longest = Math.max(now.tokens, now.S, one.reserved === "C" ? now.C : 0), px = STRIP_PX / longest;
    const again = rowsOf(one, now) - 1, kept = evaluated(one.kept, now), moved = evaluated(one.moved, now);
    const box = (kind, from, count) => count > 0 && svg("rect", { class: kind, x: from * px, y: 1, width: count * px, height: 14 });
    const strip = (title, edge, ...parts) => [html("p", {}, title),
      svg("svg", { viewBox: `0 0 ${STRIP_PX} 16`, preserveAspectRatio: "none", "aria-hidden": "true" },
        ...parts.filter(Boolean), box("edge", 0, edge))];
    const shown = html("div", { class: "strips" },
      ...strip("K and V of self-attention: target tokens", Math.max(now.tokens, one.reserved === "C" ? now.C : 0),
        box("again", 0, again), box(moved ? "moved" : "kept", 0, kept), box("fresh", now.k - 1, 1),
        one.reserved === "C" && box("empty", now.k, now.C - now.k)),
      ...strip("K and V of cross-attention: source positions", now.S, box(one.cross ? "kept" : "again", 0, now.S)));
    shown.querySelector(".fresh").setAttribute("width", Math.max(px, 1.5));
    return shown;
  }

  function bar(cost, most) {
    return html("p", { class: "cost" }, html("span", { class: "amount" }, `${flopsTold(cost)} in this step`),
      html("span", { class: "track" }, html("span", { class: "filled", style: `width:${100 * cost / most}%` })));
  }

  function layer(one, now) {
    const last = sizes(one, now.tokens);
    const tokens = Math.max(now.tokens, now.S, one.reserved === "C" ? now.C : 0);
    const features = Math.max(...one.products.filter((p) => p.role !== "lm_head").flatMap((p) => ["inner", "cols"].filter((n) => !isToken(p, n)).map((n) => evaluated(p.sizes[n], now))));
    const scale = { tokens: TOKEN_PX / tokens, features: FEATURE_PX / features };
    const groups = BLOCKS.map(([part, title, input]) => {
      const mine = one.products.filter((p) => p.role.split(".")[0] === part);
      return html("section", { class: "block" }, html("h4", {}, title), html("p", { class: "to" }, input),
        html("div", { class: "cards" }, ...mine.map((p) => card(p, one, now, last, scale))));
    });
    return [...groups, html("p", { class: "foot" },
      `To scale: ${whole(tokens)} tokens or ${whole(features)} features are ${TOKEN_PX} and ${FEATURE_PX} px; the vocabulary is cut. ${model.layer.layers} such layers. FLOPs are those of all layers.`)];
  }

  const isToken = (product, name) => name === "rows" || product.sizes[name].some(([, powers]) => "kSNCM".split("").some((letter) => letter in powers));
  const grows = (product, name) => {
    const letters = product.sizes[name].flatMap(([, powers]) => Object.keys(powers));
    return letters.includes("k") || letters.includes("M") ? "k" : letters.includes("S") ? "S" : letters.includes("C") ? "C" : "";
  };
  function card(product, one, now, last, scale) {
    const number = (name, when = now) => evaluated(product.sizes[name], when);
    const px = (name, when = now) => Math.max(1.5, Math.min(FEATURE_PX * 1.4, number(name, when) * (isToken(product, name) ? scale.tokens : scale.features)));
    const [rows, inner, cols] = ["rows", "inner", "cols"].map((name) => px(name));
    const height = Math.max(FEATURE_PX, px("rows"), px("rows", last), px("inner", last), px("inner")) + 2, middle = height / 2 + 1;
    const width = { inner: Math.max(inner, px("inner", last)), cols: Math.max(cols, px("cols", last)) };
    const mark = (...names) => ["k", "S", "C", ""].find((m) => m === "" || names.some((name) => grows(product, name) === m));
    const rect = (x, w, h, kind) => svg("rect", { class: kind, x, y: middle - h / 2, width: w, height: h });
    // Of the rows of a product that sees the whole prefix, all but the last were computed at an earlier step.
    const stale = product.weight && !product.once && number("rows") > 1 && (grows(product, "rows") === "k" || product.role === "cross.kv");
    const share = stale ? (product.role === "cross.kv" ? 1 : (number("rows") - 1) / number("rows")) : 0;
    const before = (x, w) => share > 0 && svg("rect", { class: "again", x, y: middle - rows / 2, width: w, height: rows * share });
    const x2 = width.inner + 16, x3 = x2 + width.cols + 16;
    const drawn = svg("svg", { viewBox: `0 0 ${x3 + width.cols + 2} ${height + 2}`, width: x3 + width.cols + 2, height: height + 2, "aria-hidden": "true" },
      rect(1, inner, rows, `m${mark("rows", "inner")}`), before(1, inner) || "",
      svg("text", { x: width.inner + 4, y: middle + 4 }, "×"),
      rect(x2, cols, inner, `${product.weight ? "weight " : ""}m${mark("inner", "cols")}`),
      svg("text", { x: x2 + width.cols + 4, y: middle + 4 }, "="),
      rect(x3, cols, rows, `m${mark("rows", "cols")}`), before(x3, cols) || "");
    const shape = (of) => `[${["batch", "rows", "inner"].map(of)}] x [${[...(product.weight ? [] : ["batch"]), "inner", "cols"].map(of)}]`;
    return html("div", { class: `card${product.once ? " once" : ""}`, "data-role": product.role },
      html("p", { class: "role" }, product.role, html("span", { class: `tag m${product.grows}` }, product.once ? "once a sentence" : !product.grows ? "always the same" : `grows with ${product.grows}${Object.values(product.text).includes("M") ? ", by buckets" : ""}`)),
      drawn, html("p", { class: "letters" }, shape((name) => product.text[name])),
      html("p", { class: "numbers" }, shape((name) => number(name))),
      html("p", { class: "flops" }, flopsTold(flops(product, now))),
      FLOWS[product.role] ? html("p", { class: "to" }, FLOWS[product.role]) : "");
  }

  root.addEventListener("input", ({ target }) => {
    const name = target.dataset.set;
    if (name === "model") choose(target.value);
    else if (name === "k") { pause(); at.k = Number(target.value); }
    else if (name) { at[name] = numberOf(target, at[name]); at.k = Math.min(at.k, lastK()); }
    else if (target.dataset.side) sides[target.dataset.side] = target.value;
    draw();
  });
  root.addEventListener("change", ({ target }) => { if (target.type === "number") target.value = at[target.dataset.set]; });
  root.addEventListener("click", ({ target }) => {
    const asked = target.closest("[data-do]")?.dataset.do;
    if (asked === "play") play();
    else if (asked) { pause(); step(at.k + (asked === "on" ? 1 : -1)); }
  });
  root.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way || event.target.matches("input[type=number], select, input[type=range]")) return;
    event.preventDefault();
    pause();
    step(at.k + way);
  });
  if (field("model")) options(field("model"), models.map((one) => [one.name, one.title]), model.name);
  if (innerWidth < 700) root.querySelectorAll("details.layer").forEach((layer) => { layer.open = false; });
  choose(model.name);
  draw();
}
for (const root of document.querySelectorAll(".walk")) slider(root);
