// The browser's half of explorer.py. It keeps one request to Python under way at a time; while that is
// being drawn only the newest positions are kept, so that fast dragging never queues.

const ANNOUNCE_AFTER = 700; // milliseconds of rest before a screen reader is told
const SAY_WAITING_AFTER = 2000;

function makeInput(control, id) {
  const last = control.texts.length - 1;
  const input =
    control.kind === "slider"
      ? element("input", "cf-range", { id, type: "range", min: 0, max: last, step: 1, ...KEYS_STAY_HERE })
      : makeSelect(id, control.texts);
  input.dataset.name = control.name;
  return input;
}

function makeRow(control, id) {
  const input = makeInput(control, id);
  const label = makeLabel(id, control.label);
  // The input says its own value (aria-valuetext), so this copy is for the eye.
  const readout = element("span", "cf-readout", { "aria-hidden": "true" });
  const longest = Math.max(...control.texts.map((text) => text.length));
  readout.style.minWidth = `${longest}ch`;
  const put = (position) => {
    input.value = position;
    if (control.kind !== "slider") return;
    readout.textContent = control.texts[position];
    input.setAttribute("aria-valuetext", control.texts[position]);
    input.style.setProperty("--cf-filled", `${(100 * position) / (control.texts.length - 1)}%`);
  };
  return { input, label, readout, put, parts: [label, input, readout] };
}

function render({ model, el }) {
  const { card, id: view } = makeCard(el, "cf-explorer", model.get("title"));
  const panel = element("div", "cf-controls");
  const rows = model.get("controls").map((control, i) => makeRow(control, `${view}-${i}`));
  for (const row of rows) panel.append(...row.parts);
  const problem = element("div", "cf-problem cf-note");
  const image = element("img", "cf-picture");
  const waiting = element("div", "cf-waiting cf-note");
  const live = element("div", "cf-live", { "aria-live": "polite" });
  card.append(panel, problem, image, waiting, live);

  let serial = 0;
  let underWay = null; // serial of the request that Python is answering
  let wanted = null; // the newest positions not asked for yet
  let announcing, patience;

  function ask() {
    if (underWay !== null || wanted === null) return;
    underWay = ++serial;
    model.send({ kind: "draw", view, serial, positions: wanted });
    wanted = null;
    clearTimeout(patience);
    patience = setTimeout(() => {
      waiting.textContent =
        "Waiting for Python. It may be running another cell. If it was restarted, run this cell again.";
    }, SAY_WAITING_AFTER);
  }

  function answered(message) {
    if (message.kind !== "drawn" || message.view !== view || message.serial !== underWay) return;
    clearTimeout(patience);
    waiting.textContent = "";
    underWay = null;
    ask();
  }

  function announce(text) {
    clearTimeout(announcing);
    announcing = setTimeout(() => (live.textContent = text), ANNOUNCE_AFTER);
  }

  function paint() {
    const scene = model.get("scene");
    image.width = scene.width;
    image.height = scene.height;
    image.src = scene.source;
    image.alt = scene.alt;
    problem.textContent = scene.problem;
    problem.hidden = !scene.problem;
    // Another view of this figure may have moved; while this one is being moved, the reader's hand decides.
    if (underWay === null && wanted === null) rows.forEach((row, i) => row.put(scene.positions[i]));
  }

  function repaint() {
    paint();
    announce(model.get("scene").problem || model.get("scene").alt);
  }

  rows.forEach((row) =>
    row.input.addEventListener("input", () => {
      row.put(Number(row.input.value));
      wanted = rows.map((each) => Number(each.input.value));
      ask();
    }),
  );
  model.on("change:scene", repaint);
  model.on("msg:custom", answered);
  paint();
  return () => {
    clearTimeout(announcing);
    clearTimeout(patience);
    model.off("change:scene", repaint);
    model.off("msg:custom", answered);
  };
}

export default { render };
