// SPDX-License-Identifier: MIT
// Words and numbers: what every part of the page writes goes through here. Needs no browser.
"use strict";

/** Text that is HTML already; everything else is escaped where it is put into HTML. */
class Html {
    constructor(text) {
        this.text = text;
    }

    toString() {
        return this.text;
    }
}

function escapeText(text) {
    const names = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"};
    return String(text).replace(/[&<>"']/g, (found) => names[found]);
}

function htmlOf(value) {
    if (value === null || value === undefined || value === false) {
        return "";
    }
    if (Array.isArray(value)) {
        return value.map(htmlOf).join("");
    }
    return value instanceof Html ? value.text : escapeText(value);
}

function html(strings, ...values) {
    return new Html(strings.reduce((text, part, at) => text + htmlOf(values[at - 1]) + part));
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Rounded to three digits, so that what is shown is scaled by what is shown. */
const rounded = (value) => Number(value.toPrecision(3));

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, "\u202f");

/** Three significant digits, never an exponent, thin spaces between groups. */
function threeDigits(exact) {
    const value = rounded(exact);
    if (value === 0) {
        return "0";
    }
    const places = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
    const [whole, part] = value.toFixed(places).split(".");
    return part ? `${grouped(whole)}.${part}` : grouped(whole);
}

const STEPS = {
    ns: [
        [1e9, "s"],
        [1e6, "ms"],
        [1e3, "µs"],
        [1, "ns"],
    ],
    bytes: [
        [2 ** 30, "GiB"],
        [2 ** 20, "MiB"],
        [2 ** 10, "KiB"],
        [1, "B"],
    ],
    plain: [
        [1e9, "G"],
        [1e6, "M"],
        [1e3, "k"],
        [1, ""],
    ],
};

/** A figure with its unit, scaled to where three digits say it. */
function withUnit(value, unit) {
    if (!isNumber(value)) {
        return "–";
    }
    switch (unit) {
        case "ratio":
            return `${threeDigits(value)}\u202f×`;
        case "share":
            return `${threeDigits(100 * value)}\u202f%`;
        case "count":
            return grouped(String(Math.round(value)));
        case "number":
            return threeDigits(value);
        case "B/entry":
            return `${threeDigits(value)}\u202fB`;
        case "s":
            return withUnit(value * 1e9, "ns");
    }
    const steps = STEPS[unit] || STEPS.plain;
    const [scale, name] =
        steps.find(([least]) => Math.abs(rounded(value)) >= least) || steps.at(-1);
    const tail = STEPS[unit]
        ? name
        : `${name}${unit.startsWith("1/") ? unit.slice(1) : ` ${unit}`}`;
    return `${threeDigits(value / scale)}\u202f${tail}`;
}

/** Where each object of the result stands in it, so that a figure can name its source. */
const pointers = new WeakMap();

function notePointers(value, pointer) {
    if (value && typeof value === "object") {
        pointers.set(value, pointer);
        for (const [key, part] of Object.entries(value)) {
            notePointers(part, `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
        }
    }
}

/** A figure of the result, as it stands there. */
function figure(object, key, unit) {
    const value = object ? object[key] : undefined;
    if (!isNumber(value)) {
        return html`<span class="none">–</span>`;
    }
    return html`<data value="${value}" data-from="${pointers.get(object)}/${key}"
        data-unit="${unit}">${withUnit(value, unit)}</data>`;
}

/** A figure that the page worked out from others. */
function computed(value, unit) {
    return html`<data value="${value}" data-unit="${unit}">${withUnit(value, unit)}</data>`;
}

function range(object, low, high, unit) {
    if (!isNumber(object[low]) || !isNumber(object[high])) {
        return "";
    }
    return html`<span class="range">${figure(object, low, unit)} …
${figure(object, high, unit)}</span>`;
}

const plural = (count, one, many) => `${count} ${count === 1 ? one : many || `${one}s`}`;

function listed(words) {
    return words.length < 2
        ? words.join("")
        : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** A table. A column is {head, cell(row), numeric, wide}; a row on a phone becomes a card. */
function table(columns, rows, caption) {
    return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${columns.map(
        (c) => html`<th scope="col"
class="${c.numeric ? "n" : ""}">${c.head}</th>`,
    )}
</tr></thead>
<tbody>${rows.map(
        (row) => html`<tr>${columns.map((c, at) =>
            at === 0
                ? html`<th scope="row">${c.cell(row)}</th>`
                : html`<td class="${c.numeric ? "n" : c.nowrap ? "nowrap" : ""}"
data-label="${c.label || c.head}"><div>${c.cell(row)}</div></td>`,
        )}</tr>
`,
    )}</tbody></table></div>`;
}

/** A word with its meaning for those who point at it; the glossary says it to all others. */
const GLOSSARY = {
    ratio:
        "weft's figure divided by the best peer's, or the other way round where less is better: " +
        "above 1 weft is ahead. It is the median of the ratios within single rounds; the range " +
        "is the least and the greatest round",
    ceiling:
        "what this machine can do at most when no map is involved, measured in the same run: " +
        "for example how many independent cache lines it reads in a second",
    cell: "one workload at one number of threads",
    peer: "another map that replays exactly the same operations, in its own process",
    control:
        "a peer that shows what measuring costs: an empty map, or the language's usual map " +
        "under one mutex",
    round:
        "one turn of all peers; they take turns so that what disturbs the machine disturbs all " +
        "of them",
    median: "the middle one of the rounds' figures: half of them are greater, half less",
    "p50, p90, p99, p99.9":
        "the time within which 50, 90, 99 or 99.9 of a hundred operations were done",
    fill: "entries stored in a second while the map grows from empty",
    "bytes per entry":
        "memory that the process took while it was filled, divided by the entries; payload " +
        "included",
    "CPU per operation":
        "processor time of the whole process, collectors included, divided by its operations",
    steal: "time in which the machine's host gave this machine's processors to others",
    uniform: "each key is as likely as any other",
    zipf: "few keys get most of the operations; the greater the exponent, the fewer",
    checksum:
        "a number computed from every answer of a map; the same for all, or the peer is wrong " +
        "and gets no figure",
};

function term(word, shown) {
    return html`<abbr title="${GLOSSARY[word]}">${shown || word}</abbr>`;
}
