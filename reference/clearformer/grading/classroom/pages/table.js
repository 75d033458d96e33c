"use strict";
// Sorting and filtering of the tables of students. Without it the tables are whole, in the order of the names.
const ORDER = ["wrong", "stopped", "empty", "passed"]; // problems first
const collator = new Intl.Collator("en", { numeric: true });

for (const table of document.querySelectorAll("table.students")) {
    const section = table.closest("section");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const said = section.querySelector(".said");
    const input = section.querySelector("input");

    function compare(column) {
        const cell = (row) => row.cells[column];
        if (column === 0) return (a, b) => collator.compare(cell(a).textContent, cell(b).textContent);
        if (column === 1) return (a, b) => cell(a).textContent - cell(b).textContent;
        return (a, b) => ORDER.indexOf(cell(a).className) - ORDER.indexOf(cell(b).className);
    }

    function sort(head) {
        const column = heads.indexOf(head);
        const down = head.getAttribute("aria-sort") === "ascending";
        const by = compare(column);
        // Rows that are equal keep the order of the names, whichever way.
        body.append(...[...rows].sort((a, b) => (down ? -by(a, b) : by(a, b))));
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        said.textContent = `Sorted by ${head.textContent}, ${down ? "descending" : "ascending"}.`;
    }

    function filter() {
        const wanted = input.value.trim().toLowerCase();
        let shown = 0;
        rows.forEach((row, i) => {
            row.hidden = !texts[i].includes(wanted);
            shown += !row.hidden;
        });
        said.textContent = wanted ? `${shown} of ${rows.length} rows shown.` : "";
    }

    for (const head of heads) {
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        button.addEventListener("click", () => sort(head));
        head.append(button);
    }
    input.addEventListener("input", filter);
    section.querySelector(".tools").hidden = false;
}
