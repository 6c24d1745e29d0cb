// The chart's numbers as a table: for keyboards, for screen readers, and for copying.

import { signed } from "./chart_look.js";

/** Rows for the columns that have stories, newest first; the time opens the stories. */
export function fillTable(body, line, { columns, all, title, hrefOf }) {
  const told = columns.filter(all).reverse();
  body.replaceChildren(...told.map((column) => {
    const row = document.createElement("tr");
    row.append(heading(title(column), hrefOf(column)));
    for (const value of [column.negative, column.neutral, column.positive, indexAtEnd(line, column)]) {
      const cell = row.insertCell();
      cell.className = "tf-n";
      cell.textContent = value;
    }
    return row;
  }));
}

function indexAtEnd(line, column) {
  const known = line.index.slice(column.first, column.last + 1).filter((value) => value !== null);
  return known.length ? signed(known.at(-1)) : "–";
}

function heading(text, href) {
  const head = document.createElement("th");
  const link = document.createElement("a");
  head.scope = "row";
  link.className = "tf-link";
  link.href = href;
  link.textContent = text;
  head.append(link);
  return head;
}
