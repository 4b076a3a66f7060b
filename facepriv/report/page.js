// Sorts a table by the column whose head is pressed; without this script the tables stand as they are.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
      const numbers = [...body.rows].every((row) => row.cells[column].dataset.v !== undefined);
      const sign = falls ? -1 : 1;
      // What has no number stays last, whichever way.
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (!numbers) return sign * x.localeCompare(y, "en", { numeric: true });
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (x - y);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
