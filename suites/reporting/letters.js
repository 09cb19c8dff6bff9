// The tools of the page: what the exported formulas say at the sizes that the reader chose. Each tool is a file.
const given = (id) => JSON.parse(document.getElementById(id).textContent);
const evaluated = (terms, at) =>
  terms.reduce((sum, [number, powers]) => {
    let over = number, under = 1;
    for (const [letter, power] of Object.entries(powers))
      if (power > 0) over *= at[letter] ** power;
      else under *= at[letter] ** -power;
    return sum + over / under;
  }, 0);
// The most of what is needed at each moment, which is the least of its polynomials.
const peakBytes = (formula, dtype, at) =>
  Math.max(...formula.moments[dtype].map((moment) => Math.min(...moment.map((terms) => evaluated(terms, at)))));
const prefixed = (value, base, prefixes, unit) => {
  let place = 0;
  while (value >= base && place < prefixes.length - 1) { value /= base; place += 1; }
  const digits = place ? Math.max(0, 2 - Math.floor(Math.log10(value))) : 0;
  return `${value.toFixed(digits)} ${prefixes[place]}${unit}`.trimEnd();
};
const bytesTold = (value) => prefixed(value, 1024, ["", "Ki", "Mi", "Gi", "Ti", "Pi"], "B");
const flopsTold = (value) => prefixed(value, 1000, ["", "k", "M", "G", "T", "P"], "FLOPs");
const whole = (value) => value.toLocaleString("en-US");
const counted = (number, word) => `${whole(number)} ${word}${number === 1 ? "" : "s"}`;

// An element: tag, attributes, and children that are elements or text. Text is never read as HTML.
const SVG = "http://www.w3.org/2000/svg";
const built = (space) => (tag, attributes = {}, ...children) => {
  const made = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== "" && child !== undefined));
  return made;
};
const html = built("");
const svg = built(SVG);

// Numbers in the fields of a tool, held within their limits; a field that is empty or no number keeps its last value.
const numberOf = (field, last) => {
  const number = Math.floor(Number(field.value));
  return field.value === "" || !Number.isFinite(number) ? last : Math.min(Math.max(number, Number(field.min)), Number(field.max));
};
const options = (field, values, chosen) => {
  field.replaceChildren(...values.map(([value, text]) => html("option", { value }, text)));
  field.value = chosen;
};
globalThis.decodebench = { evaluated, peakBytes };
