// SPDX-License-Identifier: MIT
// Pictures: plain SVG text, coloured by the page's style. Each comes with a table of its figures.
"use strict";

const WIDTH = 360;
const LETTER = 6.7; // the width of a letter of the labels, rather more than less

const round1 = (value) => Math.round(value * 10) / 10;

/** From 0 in at most five round steps. A scale has ticks, and `at`: 0 at its bottom, 1 on top. */
function zeroScale(values) {
    const most = Math.max(...values);
    const rough = most / 4 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
    const ticks = [];
    for (let tick = 0; tick < most + step * 0.999; tick += step) {
        ticks.push(tick);
    }
    return {ticks, at: (value) => value / ticks.at(-1)};
}

function logScale(values) {
    const least = Math.min(...values) / 1.2;
    const most = Math.max(...values) * 1.2;
    const all = [];
    for (let power = Math.floor(Math.log10(least)); 10 ** power <= most; power++) {
        all.push(...[1, 2, 5].map((m) => m * 10 ** power).filter((t) => t >= least && t <= most));
    }
    const tens = all.filter((tick) => Math.abs(Math.log10(tick) % 1) < 1e-9);
    const at = (value) => Math.log(value / least) / Math.log(most / least);
    return {ticks: tens.length >= 3 ? tens : all, at};
}

/** A round number at an axis. */
function tickText(value, unit) {
    return value === 0 ? "0" : withUnit(value, unit).replace(/\.0+(?=\u202f)/, "");
}

/** Splits off controls that are far from all others: they would press these together. */
function drawable(lines) {
    const others = lines.filter((line) => line.role !== "control");
    const values = others.flatMap((line) => line.points.map((p) => p.y));
    const near = (line) =>
        line.role !== "control" ||
        values.length === 0 ||
        line.points.every((p) => p.y >= Math.min(...values) / 3 && p.y <= Math.max(...values));
    const rank = {weft: 3, best: 2, engine: 1};
    const drawn = lines.filter(near).sort((a, b) => (rank[a.role] || 0) - (rank[b.role] || 0));
    return {drawn, far: lines.filter((line) => !near(line))};
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

function chartFigure(title, picture, far, {columns, rows}) {
    const beyond =
        far.length > 0 &&
        html`<p class="beyond">Beyond this picture, in the table:
${listed(far.map((line) => line.id))} (${plural(far.length, "control")}).</p>`;
    return html`<figure><figcaption>${title}</figcaption>${picture}${beyond}
<details><summary>As a table</summary>${table(columns, rows, title)}</details></figure>`;
}

/** Horizontal bars from zero, the best first. A bar is a line of one point, {y, object, key}. */
function barChart(title, measure, bars) {
    const {unit, better} = measure;
    const order = (a, b) => (better === "less" ? 1 : -1) * (a.points[0].y - b.points[0].y);
    const {drawn, far} = drawable(bars);
    const sorted = drawn.sort(order);
    const row = 21;
    const left = Math.min(160, LETTER * Math.max(...sorted.map((b) => b.id.length)) + 12);
    const right = 66;
    const spreadOf = (bar) =>
        measure.spread ? [bar.points[0].object.low, bar.points[0].object.high] : [];
    const most = Math.max(...sorted.map((b) => Math.max(b.points[0].y, spreadOf(b)[1] || 0)));
    const x = (value) => left + ((WIDTH - left - right) * value) / (most || 1);
    const body = sorted.map((bar, at) => {
        const y = at * row + 4;
        const value = bar.points[0].y;
        const shown = withUnit(value, unit);
        const [low, high] = spreadOf(bar);
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
        withUnit(best.points[0].y, unit);
    const columns = [
        {head: "map", cell: (b) => b.id},
        {
            head: better === "less" ? "figure (less is better)" : "figure (more is better)",
            numeric: true,
            cell: (b) => figure(b.points[0].object, b.points[0].key, unit),
        },
    ];
    if (measure.spread) {
        columns.push({
            head: "range",
            numeric: true,
            cell: (b) => range(b.points[0].object, "low", "high", unit),
        });
    }
    const rows = [...bars].sort(order);
    return chartFigure(title, svg(height, label, body), far, {columns, rows});
}

function axes(box, chart) {
    const up = chart.scale.ticks.map(
        (tick) =>
            `<path class="grid" d="M${box.left} ${round1(box.y(tick))}H${round1(box.right)}"/>` +
            svgText(box.left - 5, box.y(tick) + 4, tickText(tick, chart.unit), 'text-anchor="end"'),
    );
    const along = chart.xTicks.map(([at, text]) =>
        svgText(box.x(at), box.bottom + 15, text, 'text-anchor="middle"'),
    );
    const middle = (box.left + box.right) / 2;
    const name = svgText(
        middle,
        box.bottom + 31,
        chart.xLabel,
        'text-anchor="middle" class="quiet"',
    );
    return [...up, ...along, name];
}

const MARKS = [
    (x, y) => `<circle cx="${x}" cy="${y}" r="3.2"/>`,
    (x, y) => `<rect x="${x - 3}" y="${y - 3}" width="6" height="6"/>`,
    (x, y) => `<path d="M${x} ${y - 4}l4 7h-8z"/>`,
    (x, y) => `<path d="M${x} ${y - 4}l4 4l-4 4l-4 -4z"/>`,
];

/** Lines with their names at their ends. A line is {id, role, points: [{x, y}]}. */
function drawLines(box, lines) {
    const ends = lines.map((line) => box.y(line.points.at(-1).y) + 4);
    const places = spread(ends, 13, box.top + 6, box.bottom + 6);
    return lines.map((line, at) => {
        const points = line.points.map((p) => [round1(box.x(p.x)), round1(box.y(p.y))]);
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

/** A chart is {title, unit, lines, scale, xTicks: [[x, text]], xLabel, columns, rows}; every x is
 * between the first tick and the last. */
function lineChart(chart) {
    const {drawn, far} = drawable(chart.lines);
    const height = Math.max(210, 13 * drawn.length + 60);
    const labels = Math.min(160, Math.max(...drawn.map((line) => line.id.length)) * LETTER + 14);
    const box = {top: 10, bottom: height - 38, left: 50, right: WIDTH - labels};
    const scale = chart.scale(drawn.flatMap((line) => line.points.map((p) => p.y)));
    const [from, to] = [chart.xTicks[0][0], chart.xTicks.at(-1)[0]];
    box.y = (value) => box.bottom - (box.bottom - box.top) * scale.at(value);
    box.x = (value) =>
        box.left + 12 + ((box.right - box.left - 24) * (value - from)) / (to - from || 1);
    const body = [...axes(box, {...chart, scale}), ...drawLines(box, drawn)];
    const label = `${chart.title}: ${drawn.length} lines; their figures are in the table below`;
    return chartFigure(chart.title, svg(height, label, body), far, chart);
}

/** Figures against threads, which stand at equal distances: each is twice the one before or so. */
function threadsChart(title, measure, lines) {
    const threads = [...new Set(lines.flatMap((l) => l.points.map((p) => p.x)))];
    threads.sort((a, b) => a - b);
    const columns = threads.map((count) => ({
        head: plural(count, "thread"),
        numeric: true,
        cell: (line) => {
            const point = line.points.find((p) => p.threads === count);
            return point ? figure(point.object, point.key, measure.unit) : "–";
        },
    }));
    const placed = lines.map((line) => ({
        ...line,
        points: line.points.map((p) => ({...p, threads: p.x, x: threads.indexOf(p.x)})),
    }));
    return lineChart({
        title,
        unit: measure.unit,
        lines: placed,
        scale: measure.logarithmic ? logScale : zeroScale,
        xTicks: threads.map((count, at) => [at, String(count)]),
        xLabel: "threads",
        columns: [{head: "map", cell: (line) => line.id}, ...columns],
        rows: placed,
    });
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
    const pointsOf = (latency) =>
        PERCENTILES.filter(([key]) => latency[key] > 0).map(([key, , x]) => ({x, y: latency[key]}));
    const lines = results
        .map((line) => ({...line, points: pointsOf(line.latency)}))
        .filter((line) => line.points.length);
    const columns = PERCENTILES.map(([key, text]) => ({
        head: text,
        numeric: true,
        cell: (line) => figure(line.latency, key, "ns"),
    }));
    return lineChart({
        title,
        unit: "ns",
        lines,
        scale: logScale,
        xTicks: PERCENTILES.map(([, text, at]) => [at, text]),
        xLabel: "share of the operations done within",
        columns: [
            {head: "map", cell: (line) => line.id},
            ...columns,
            {
                head: "samples",
                numeric: true,
                cell: (line) => figure(line.latency, "samples", "count"),
            },
        ],
        rows: lines,
    });
}

/** A quantity over time, or over a setting such as the number of shards. */
function seriesChart(title, lines) {
    const xs = lines.flatMap((line) => line.points.map((p) => p.x));
    const [from, to] = [Math.min(...xs), Math.max(...xs)];
    const first = lines[0].series;
    return lineChart({
        title,
        unit: first.unit,
        lines,
        scale: zeroScale,
        xTicks: [from, (from + to) / 2, to].map((x) => [x, threeDigits(x)]),
        xLabel: first.x,
        columns: [
            {head: "map", cell: (p) => p.id},
            {head: first.x, numeric: true, cell: (p) => figure(p.pair, 0, "number")},
            {head: first.name, numeric: true, cell: (p) => figure(p.pair, 1, first.unit)},
        ],
        rows: lines.flatMap((line) => line.series.points.map((pair) => ({id: line.id, pair}))),
    });
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
    return html`<svg class="ratio ${outcome(cell).key}" viewBox="0 0 ${width} 22" role="img"
aria-label="${words}"><path class="grid" d="M4 11H${width - 4}"/>
<path class="axis" d="M${middle} 2V20"/>${new Html(whisker)}
<circle cx="${x(cell.ratio)}" cy="11" r="4.5"/></svg>`;
}
