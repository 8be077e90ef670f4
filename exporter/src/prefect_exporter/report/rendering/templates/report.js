// Makes tables sort. Without it they stand as the report ordered them, the most important row first.
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const compare = (one, other) => {
    const difference = Number(one) - Number(other);
    return Number.isNaN(difference) ? one.localeCompare(other, undefined, { numeric: true }) : difference;
  };
  const sort = (column) => {
    const heading = headings[column];
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    for (const each of headings) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    // What has no value stands last, whichever way is sorted.
    rows.sort(([one], [other]) =>
      one === "" || other === "" ? (one === "") - (other === "") : compare(one, other) * (ascending ? 1 : -1));
    body.append(...rows.map(([, row]) => row));
  };
  headings.forEach((heading, column) => {
    if (!heading.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(column));
    heading.append(button);
  });
}
