// The browser's half of attention_map.py: a grid of words that is walked with the arrow keys or the mouse.

const CHARACTER = 8; // rough width of one in CSS pixels
const ROOM = 640; // for the columns; beyond it their names stand upright

function makeHeader(scope, word) {
  const header = element("th", "cf-word", { scope, title: word });
  const text = element("span", "cf-word-text", { dir: "auto", "data-text": word });
  text.textContent = word;
  header.append(text);
  return header;
}

function makeCell(shades) {
  const cell = element("td", "cf-cell", { role: "gridcell", tabindex: -1, ...KEYS_STAY_HERE });
  const put = (text, step, label) => {
    cell.textContent = text;
    cell.setAttribute("aria-label", label);
    const colours = { "": shades.light[step], "-dark": shades.dark[step] };
    for (const [theme, [shade, ink]] of Object.entries(colours)) {
      cell.style.setProperty(`--cf-shade${theme}`, shade);
      cell.style.setProperty(`--cf-ink${theme}`, ink);
    }
  };
  return { cell, put };
}

function makeGrid(model, id) {
  const queries = model.get("query_words");
  const keys = model.get("key_words");
  const longest = Math.max(...keys.map((word) => [...word].length));
  const width = Math.max(46, Math.min(longest, 14) * CHARACTER + 12);
  const upright = width * keys.length > ROOM;
  const grid = element("table", upright ? "cf-grid cf-upright" : "cf-grid", { role: "grid", "aria-labelledby": id });
  grid.style.setProperty("--cf-cell", `${upright ? 42 : width}px`);
  const corner = element("th", "cf-corner", { scope: "col" });
  corner.textContent = "looks at →";
  const top = element("tr", "");
  const columns = keys.map((word) => makeHeader("col", word));
  top.append(corner, ...columns);
  const head = element("thead", "");
  head.append(top);
  const body = element("tbody", "");
  const rows = queries.map((word) => {
    const line = element("tr", "");
    const header = makeHeader("row", word);
    const cells = keys.map(() => makeCell(model.get("shades")));
    line.append(header, ...cells.map(({ cell }) => cell));
    body.append(line);
    return { line, header, cells };
  });
  grid.append(head, body);
  return { grid, columns, rows };
}

function step(key, control, row, column, lastRow, lastColumn) {
  const moves = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [control ? 0 : row, 0],
    End: [control ? lastRow : row, lastColumn],
    PageUp: [0, column],
    PageDown: [lastRow, column],
  };
  if (!(key in moves)) return null;
  const [r, c] = moves[key];
  return [Math.min(Math.max(r, 0), lastRow), Math.min(Math.max(c, 0), lastColumn)];
}

function render({ model, el }) {
  const { card, id } = makeCard(el, "cf-map", model.get("title"));
  const queries = model.get("query_words");
  const keys = model.get("key_words");
  const names = model.get("head_names");
  const chooser = element("div", "cf-chooser");
  const select = makeSelect(`${id}-head`, names);
  chooser.append(makeLabel(`${id}-head`, "Attention head"), select);
  if (names.length > 1) card.append(chooser);
  const { grid, columns, rows } = makeGrid(model, `${id}-title`);
  const frame = element("div", "cf-frame");
  frame.append(grid);
  const sentence = element("div", "cf-sentence cf-note", { "aria-live": "polite" });
  const help = element("div", "cf-help cf-note");
  help.textContent = "Point at a number, or move with the arrow keys. Each row is one word that looks.";
  card.append(frame, sentence, help);

  const at = () => [model.get("row"), model.get("column")];
  let pointed = null; // the cell under the mouse, shown without being selected

  function fill() {
    select.value = model.get("head");
    model.get("heads")[model.get("head")].forEach(({ texts, steps }, r) =>
      rows[r].cells.forEach(({ put }, c) =>
        put(texts[c], steps[c], `${queries[r]} looks at ${keys[c]}: ${texts[c]}`),
      ),
    );
    mark();
  }

  function mark() {
    const [row, column] = pointed ?? at();
    const [selectedRow, selectedColumn] = at();
    rows.forEach(({ line, cells }, r) => {
      line.classList.toggle("cf-shown", r === row);
      cells.forEach(({ cell }, c) => {
        const selected = r === selectedRow && c === selectedColumn;
        cell.tabIndex = selected ? 0 : -1;
        cell.setAttribute("aria-selected", String(selected));
      });
    });
    columns.forEach((header, c) => header.classList.toggle("cf-shown", c === column));
    const text = model.get("heads")[model.get("head")][row].sentence;
    if (sentence.textContent !== text) sentence.textContent = text;
  }

  function select_cell(row, column, focus) {
    pointed = null;
    model.set("row", row);
    model.set("column", column);
    model.save_changes();
    mark();
    if (focus) rows[row].cells[column].cell.focus();
  }

  rows.forEach(({ cells }, r) =>
    cells.forEach(({ cell }, c) => {
      cell.addEventListener("click", () => select_cell(r, c, true));
      cell.addEventListener("mouseenter", () => {
        pointed = [r, c];
        mark();
      });
    }),
  );
  grid.addEventListener("mouseleave", () => {
    pointed = null;
    mark();
  });
  grid.addEventListener("keydown", (event) => {
    const next = step(event.key, event.ctrlKey, ...at(), queries.length - 1, keys.length - 1);
    if (next === null || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    select_cell(...next, true);
  });
  select.addEventListener("change", () => {
    model.set("head", Number(select.value));
    model.save_changes();
  });
  model.on("change:head", fill);
  model.on("change:row", mark);
  model.on("change:column", mark);
  fill();
  return () => {
    model.off("change:head", fill);
    model.off("change:row", mark);
    model.off("change:column", mark);
  };
}

export default { render };
