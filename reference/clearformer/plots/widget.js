// Shared by the widgets of this folder: put in front of each one's own file.

function element(tag, className, attributes = {}) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// JupyterLab takes the arrow keys for itself unless the focused element says otherwise.
const KEYS_STAY_HERE = { "data-lm-suppress-shortcuts": "true" };

function makeSelect(id, texts) {
  const select = element("select", "cf-select", { id, ...KEYS_STAY_HERE });
  texts.forEach((text, i) => {
    const option = element("option", "", { value: i });
    option.textContent = text;
    select.append(option);
  });
  return select;
}

function makeLabel(id, text) {
  const label = element("label", "cf-label", { for: id });
  label.textContent = text;
  return label;
}

function makeCard(el, name, title) {
  const id = `cf-${Math.random().toString(36).slice(2)}`;
  const card = element("div", `cf-card ${name}`, { role: "group", "aria-labelledby": `${id}-title` });
  const heading = element("div", "cf-title", { id: `${id}-title` });
  heading.textContent = title;
  card.append(heading);
  el.append(card);
  return { card, id };
}
