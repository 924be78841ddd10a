// SPDX-License-Identifier: MIT
// Pictures: plain SVG text, coloured by the page's style. Each comes with a table of its figures.
"use strict";

const WIDTH = 360;
const LETTER = 6.3; // the mean width of a letter of the labels

const round1 = (value) => Math.round(value * 10) / 10;

/** Round numbers that cover 0 … most, at most five steps. */
function ticksFromZero(most) {
    const rough = most / 4 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
    const ticks = [];
    for (let at = 0; at < most + step * 0.999; at += step) {
        ticks.push(at);
    }
    return ticks;
}

/** Powers of ten around all values. */
function decades(values) {
    const from = Math.floor(Math.log10(Math.min(...values)) + 1e-9);
    const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9));
    return Array.from({length: to - from + 1}, (_, at) => 10 ** (from + at));
}

/** Moves labels apart that would cover each other; `room` is the height of one. */
function spread(wanted, room, top, bottom) {
    const order = wanted.map((at, index) => ({at, index})).sort((a, b) => a.at - b.at);
    let least = top;
    for (const label of order) {
        label.at = Math.max(label.at, least);
        least = label.at + room;
    }
    let most = bottom;
    for (const label of order.reverse()) {
        label.at = Math.min(label.at, most);
        most = label.at - room;
    }
    const places = [];
    for (const label of order) {
        places[label.index] = label.at;
    }
    return places;
}

function shorten(text, letters) {
    return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
}

function svgText(x, y, text, attributes) {
    return `<text x="${round1(x)}" y="${round1(y)}" ${attributes || ""}>${escapeText(text)}</text>`;
}

function svg(height, label, body) {
    return html`<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${label}">
${new Html(body.join("\n"))}
</svg>`;
}

function chartFigure(title, picture, columns, rows) {
    return html`<figure><figcaption>${title}</figcaption>${picture}
<details><summary>As a table</summary>${table(columns, rows, title)}</details></figure>`;
}

/** Horizontal bars from zero, the best first. A bar is {id, role, object, key, low, high}. */
function barChart(title, unit, better, bars) {
    const sorted = [...bars].sort(
        (a, b) => (better === "less" ? 1 : -1) * (a.object[a.key] - b.object[b.key]),
    );
    const row = 21;
    const left = Math.min(150, LETTER * Math.max(...sorted.map((b) => b.id.length)) + 10);
    const right = 66;
    const most = Math.max(...sorted.map((b) => Math.max(b.object[b.key], b.object[b.high] || 0)));
    const x = (value) => left + ((WIDTH - left - right) * value) / (most || 1);
    const body = sorted.map((bar, at) => {
        const y = at * row + 4;
        const value = bar.object[bar.key];
        const shown = withUnit(value, unit);
        const low = bar.object[bar.low];
        const high = bar.object[bar.high];
        const whisker =
            isNumber(low) && isNumber(high) && high > low
                ? `<path class="whisker" d="M${round1(x(low))} ${y + 7.5}H${round1(x(high))}"/>`
                : "";
        const after = Math.max(x(value), isNumber(high) ? x(high) : 0) + 5;
        return (
            `<g class="${bar.role}"><title>${escapeText(bar.id)}: ${shown}</title>` +
            svgText(
                left - 6,
                y + 11.5,
                shorten(bar.id, Math.floor(left / LETTER)),
                'text-anchor="end"',
            ) +
            `<rect class="bar" x="${round1(left)}" y="${y}" rx="2" height="15"` +
            ` width="${round1(Math.max(1, x(value) - left))}"/>` +
            `${whisker}${svgText(after, y + 11.5, shown)}</g>`
        );
    });
    const height = sorted.length * row + 6;
    body.push(`<path class="axis" d="M${round1(left)} 0V${height - 2}"/>`);
    const best = sorted[0];
    const label =
        `${title}: bars for ${sorted.length} maps; best is ${best.id} with ` +
        withUnit(best.object[best.key], unit);
    const columns = [
        {head: "map", cell: (b) => b.id},
        {
            head: better === "less" ? "figure (less is better)" : "figure (more is better)",
            numeric: true,
            cell: (b) => figure(b.object, b.key, unit),
        },
    ];
    if (sorted.some((b) => isNumber(b.object[b.low]))) {
        columns.push({
            head: "range",
            numeric: true,
            cell: (b) => range(b.object, b.low, b.high, unit),
        });
    }
    return chartFigure(title, svg(height, label, body), columns, sorted);
}

/** What a line chart needs to place a value: the margins are as wide as the labels ask for. */
function frame(lines, height) {
    const longest = Math.max(...lines.map((line) => line.id.length));
    return {
        top: 10,
        bottom: height - 38,
        left: 50,
        right: WIDTH - Math.min(150, longest * LETTER + 14),
        height,
    };
}

function yAxis(box, ticks, y, unit) {
    return ticks.map(
        (tick) =>
            `<path class="grid" d="M${box.left} ${round1(y(tick))}H${round1(box.right)}"/>` +
            svgText(box.left - 5, y(tick) + 4, withUnit(tick, unit), 'text-anchor="end"'),
    );
}

function xAxis(box, ticks, label) {
    const middle = (box.left + box.right) / 2;
    return ticks
        .map(([at, text]) => svgText(at, box.bottom + 15, text, 'text-anchor="middle"'))
        .concat(svgText(middle, box.bottom + 31, label, 'text-anchor="middle" class="quiet"'));
}

const MARKS = [
    (x, y) => `<circle cx="${x}" cy="${y}" r="3.2"/>`,
    (x, y) => `<rect x="${x - 3}" y="${y - 3}" width="6" height="6"/>`,
    (x, y) => `<path d="M${x} ${y - 4}l4 7h-8z"/>`,
    (x, y) => `<path d="M${x} ${y - 4}l4 4l-4 4l-4 -4z"/>`,
];

/** Lines with their names at their ends. A line is {id, role, points: [{x, y}]}. */
function drawLines(box, lines, x, y) {
    const ends = lines.map((line) => y(line.points.at(-1).y) + 4);
    const places = spread(ends, 13, box.top + 6, box.bottom + 6);
    return lines.map((line, at) => {
        const points = line.points.map((p) => [round1(x(p.x)), round1(y(p.y))]);
        const mark = MARKS[at % MARKS.length];
        const end = points.at(-1);
        const letters = Math.floor((WIDTH - box.right - 12) / LETTER);
        return (
            `<g class="${line.role}"><title>${escapeText(line.id)}</title>` +
            `<path class="line" d="M${points.map((p) => p.join(" ")).join("L")}"/>` +
            `<g class="mark">${points.map((p) => mark(...p)).join("")}</g>` +
            `<path class="leader" d="M${end[0] + 4} ${end[1]}` +
            `L${round1(box.right + 9)} ${round1(places[at] - 4)}"/>` +
            `${svgText(box.right + 11, places[at], shorten(line.id, letters))}</g>`
        );
    });
}

/** Figures against threads, which stand at equal distances: each is twice the one before or so. */
function threadsChart(title, unit, lines, fromZero) {
    const threads = [...new Set(lines.flatMap((l) => l.points.map((p) => p.x)))].sort(
        (a, b) => a - b,
    );
    const values = lines.flatMap((l) => l.points.map((p) => p.y));
    const box = frame(lines, Math.max(210, 13 * lines.length + 60));
    const ticks = fromZero ? ticksFromZero(Math.max(...values)) : decades(values);
    const scale = fromZero ? (v) => v : Math.log10;
    const [least, most] = [scale(ticks[0]), scale(ticks.at(-1))];
    const y = (value) =>
        box.bottom - ((box.bottom - box.top) * (scale(value) - least)) / (most - least);
    const inner = box.right - box.left - 24;
    const x = (value) =>
        box.left + 12 + (inner * threads.indexOf(value)) / Math.max(1, threads.length - 1);
    const body = [
        ...yAxis(box, ticks, y, unit),
        ...xAxis(
            box,
            threads.map((t) => [x(t), String(t)]),
            "threads",
        ),
        ...drawLines(box, lines, x, y),
    ];
    const columns = [
        {head: "map", cell: (line) => line.id},
        ...threads.map((t) => ({
            head: plural(t, "thread"),
            numeric: true,
            cell: (line) => {
                const point = line.points.find((p) => p.x === t);
                return point ? figure(point.object, point.key, unit) : "–";
            },
        })),
    ];
    const label =
        `${title}: ${lines.length} lines over ${plural(threads.length, "number")} of threads; ` +
        "the figures are in the table below";
    return chartFigure(title, svg(box.height, label, body), columns, lines);
}

const PERCENTILES = [
    ["p50", "50 %", 0.301],
    ["p90", "90 %", 1],
    ["p99", "99 %", 2],
    ["p999", "99.9 %", 3],
    ["max", "max", 4],
];

/** Latency against the share of the operations that were faster; both axes logarithmic. */
function percentileChart(title, results) {
    const lines = results
        .map(({id, role, latency}) => ({
            id,
            role,
            latency,
            points: PERCENTILES.filter(([key]) => latency[key] > 0).map(([key, , at]) => ({
                x: at,
                y: latency[key],
            })),
        }))
        .filter((line) => line.points.length);
    const box = frame(lines, Math.max(230, 13 * lines.length + 60));
    const ticks = decades(lines.flatMap((l) => l.points.map((p) => p.y)));
    const [least, most] = [Math.log10(ticks[0]), Math.log10(ticks.at(-1))];
    const y = (value) =>
        box.bottom - ((box.bottom - box.top) * (Math.log10(value) - least)) / (most - least);
    const x = (value) =>
        box.left + 12 + ((box.right - box.left - 24) * (value - 0.301)) / (4 - 0.301);
    const body = [
        ...yAxis(box, ticks, y, "ns"),
        ...xAxis(
            box,
            PERCENTILES.map(([, text, at]) => [x(at), text]),
            "share of the operations done within",
        ),
        ...drawLines(box, lines, x, y),
    ];
    const columns = [
        {head: "map", cell: (line) => line.id},
        ...PERCENTILES.map(([key, text]) => ({
            head: text,
            numeric: true,
            cell: (line) => figure(line.latency, key, "ns"),
        })),
        {head: "samples", numeric: true, cell: (line) => figure(line.latency, "samples", "count")},
    ];
    const label =
        `${title}: percentile curves of ${lines.length} maps; ` +
        "the figures are in the table below";
    return chartFigure(title, svg(box.height, label, body), columns, lines);
}

/** A quantity over time, or over a setting such as the number of shards. */
function seriesChart(title, lines) {
    const all = lines.flatMap((line) => line.points);
    const box = frame(lines, Math.max(210, 13 * lines.length + 60));
    const ticks = ticksFromZero(Math.max(...all.map((p) => p.y)));
    const xs = all.map((p) => p.x);
    const [from, to] = [Math.min(...xs), Math.max(...xs)];
    const y = (value) => box.bottom - ((box.bottom - box.top) * value) / ticks.at(-1);
    const x = (value) =>
        box.left + 12 + ((box.right - box.left - 24) * (value - from)) / (to - from || 1);
    const first = lines[0].series;
    const marks = [from, (from + to) / 2, to].map((v) => [x(v), threeDigits(v)]);
    const body = [
        ...yAxis(box, ticks, y, first.unit),
        ...xAxis(box, marks, first.x),
        ...drawLines(box, lines, x, y),
    ];
    const columns = [
        {head: "map", cell: (p) => p.id},
        {head: first.x, numeric: true, cell: (p) => figure(p.pair, 0, "number")},
        {head: first.name, numeric: true, cell: (p) => figure(p.pair, 1, first.unit)},
    ];
    const rows = lines.flatMap((line) => line.series.points.map((pair) => ({id: line.id, pair})));
    return chartFigure(
        title,
        svg(box.height, `${title}: ${lines.length} lines`, body),
        columns,
        rows,
    );
}

/** A ratio with its range on a logarithmic scale that all rows share; the thick stroke is 1. */
function ratioMark(cell, most) {
    const width = 150;
    const middle = width / 2;
    const x = (ratio) => round1(middle + ((middle - 8) * Math.log(ratio)) / Math.log(most));
    const words =
        `ratio ${withUnit(cell.ratio, "number")}, from ${withUnit(cell.ratio_low, "number")} to ` +
        withUnit(cell.ratio_high, "number");
    const whisker =
        isNumber(cell.ratio_low) && isNumber(cell.ratio_high)
            ? `<path class="whisker" d="M${x(cell.ratio_low)} 11H${x(cell.ratio_high)}"/>`
            : "";
    return new Html(`<svg class="ratio ${outcome(cell).key}" viewBox="0 0 ${width} 22" role="img"
aria-label="${escapeText(words)}"><path class="grid" d="M4 11H${width - 4}"/>
<path class="axis" d="M${middle} 2V20"/>${whisker}
<circle cx="${x(cell.ratio)}" cy="11" r="4.5"/></svg>`);
}
