// SPDX-License-Identifier: MIT
// The parts behind the verdict: pictures, tables, machine, peers, method; and the whole page.
"use strict";

/* ---- pictures ---- */

/** Cells that differ in their threads only. */
function byThreads(cells) {
    const groups = new Map();
    for (const cell of cells) {
        const key = drivesThreads(cell) ? `${cell.workload} ${cell.measure}` : cell.id;
        groups.set(key, [...(groups.get(key) || []), cell]);
    }
    return [...groups.values()].map((group) => group.sort((a, b) => a.threads - b.threads));
}

/** One figure a peer and number of threads: lines, or bars if there is one number of threads. */
function againstThreads(result, cells, measure) {
    const last = cells.at(-1);
    const ids = [...new Set(cells.flatMap((cell) => cell.results.map((one) => one.peer)))];
    const pointOf = (cell, id) => {
        const reading = readingOf(resultOf(cell, id), measure);
        return reading && {...reading, x: cell.threads, y: reading.value};
    };
    const lines = ids
        .map((id) => ({
            id,
            role: roleOf(result, last, id),
            points: cells.map((cell) => pointOf(cell, id)).filter(Boolean),
        }))
        .filter((line) => line.points.length);
    const threads = new Set(lines.flatMap((line) => line.points.map((p) => p.x)));
    if (threads.size > 1) {
        return threadsChart(last.workload, measure, lines);
    }
    if (lines.length === 0) {
        return null;
    }
    const shown = cells.find((cell) => threads.has(cell.threads));
    return barChart(cellName(shown), measure, lines);
}

const ROLES = {
    weft: "weft, the judged engine",
    engine: "weft's other engines",
    best: "the best peer in the judged figure",
    other: "other peers",
    control: "controls",
};

/** The colours that occur; what each line and bar is stands beside it. */
function legend(charts) {
    const drawn = htmlOf(charts);
    const keys = Object.entries(ROLES)
        .filter(([role]) => drawn.includes(`<g class="${role}">`))
        .map(([role, words]) => html`<span class="key ${role}">${words}</span> `);
    return html`<span class="legend">${keys}</span>`;
}

function pictures(id, title, words, charts) {
    const shown = charts.filter(Boolean);
    return shown.length === 0
        ? ""
        : html`<section id="${id}"><h2>${title}</h2><p>${words} ${legend(shown)}</p><div
class="panels">${shown}</div></section>`;
}

function judgedFigure(result) {
    const charts = byThreads(result.cells).map((cells) =>
        againstThreads(result, cells, {
            unit: cells[0].unit,
            better: cells[0].better,
            spread: true,
            of: (one) => [one, "median"],
        }),
    );
    const rates = result.cells.every((cell) => cell.unit === "1/s");
    return pictures(
        "judged",
        rates ? "Throughput" : "The judged figure",
        html`What the verdict is made of: the ${term("median")} of each map; beside bars, a thin
line goes from the least round to the greatest.`,
        charts,
    );
}

function latencyAgainstThreads(result) {
    const measure = {...BESIDE[0], logarithmic: true};
    return pictures(
        "p99",
        "Latency: 99 of 100 operations",
        html`The time within which 99 of 100 single operations were done; less is better. Lines
have a logarithmic scale, bars begin at zero.`,
        byThreads(firstCells(result)).map((cells) => againstThreads(result, cells, measure)),
    );
}

function percentiles(result) {
    const charts = byThreads(firstCells(result)).map((cells) => {
        const cell = [...cells].reverse().find((c) => c.results.some((one) => one.latency));
        return (
            cell &&
            percentileChart(
                cellName(cell),
                cell.results
                    .filter((one) => one.latency)
                    .map((one) => ({
                        id: one.peer,
                        role: roleOf(result, cell, one.peer),
                        latency: one.latency,
                    })),
            )
        );
    });
    return charts.some(Boolean)
        ? pictures(
              "percentiles",
              "Latency: percentile curves",
              html`From the middle operation to
the slowest one, both scales logarithmic. A flat curve is a map whose slow operations are not
much slower than its usual
ones.${result.kind !== "serve" ? " Every 32nd operation was timed." : ""}`,
              charts,
          )
        : html`<section id="percentiles"><h2>Latency</h2><p>This run did not measure the
latency of single operations.</p></section>`;
}

/** Bars of one quantity for every workload, at its greatest number of threads that has it. */
function quantity(result, id, measure, title, words) {
    const charts = byThreads(firstCells(result)).map((cells) => {
        const cell = [...cells]
            .reverse()
            .find((c) => c.results.some((one) => readingOf(one, measure)));
        return cell && againstThreads(result, [cell], measure);
    });
    return pictures(id, title, words, charts);
}

function series(result) {
    const charts = result.cells.flatMap((cell) => {
        const names = [
            ...new Set(cell.results.flatMap((one) => (one.series || []).map((s) => s.name))),
        ];
        return names.map((name) => {
            const lines = cell.results
                .map((one) => ({one, series: (one.series || []).find((s) => s.name === name)}))
                .filter((line) => line.series && line.series.points.length)
                .map(({one, series: s}) => ({
                    id: one.peer,
                    role: roleOf(result, cell, one.peer),
                    series: s,
                    points: s.points.map(([x, y]) => ({x, y})),
                }));
            return seriesChart(`${cellName(cell)}: ${name}`, lines);
        });
    });
    return pictures(
        "series",
        "Over time, and over settings",
        "More is not always better here: the axes say what is " + "drawn.",
        charts,
    );
}

/* ---- tables of everything ---- */

const LOAD_BOUND = "the load generator was at its limit: the server can do more";

function allFigures(result) {
    const column = (head, measure) => ({
        head,
        numeric: true,
        cell: ({one}) => {
            const reading = readingOf(one, measure);
            return reading ? figure(reading.object, reading.key, measure.unit) : "–";
        },
    });
    const note = {head: "note", cell: ({one}) => (one.client_bound ? LOAD_BOUND : "")};
    const parts = result.cells.map((cell) => {
        const columns = [
            {head: "map", cell: ({one}) => one.peer},
            {head: "median", numeric: true, cell: ({one}) => figure(one, "median", unitOf(cell))},
            {
                head: "least … greatest",
                numeric: true,
                cell: ({one}) => range(one, "low", "high", unitOf(cell)),
            },
            {
                head: "rounds",
                numeric: true,
                cell: ({one}) => html`<data value="${one.samples.length}"
data-count="${pointers.get(one)}/samples">${one.samples.length}</data>`,
            },
            column("CPU per operation", BESIDE[3]),
            column("memory per entry", BESIDE[2]),
            column("fill", BESIDE[4]),
            column("p99", BESIDE[0]),
            column("p99.9", BESIDE[1]),
            ...(cell.results.some((one) => one.client_bound) ? [note] : []),
        ];
        return html`<details><summary>${cellName(cell)}${cell.about && `: ${cell.about}`}</summary>
${table(
    columns,
    cell.results.map((one) => ({one})),
    `${cell.id}, ${cell.better === "less" ? "less" : "more"} is better`,
)}
</details>`;
    });
    return html`<section id="figures"><h2>Every figure</h2><p>A cell each. “–” means: not
measured in this run.</p>
${parts}</section>`;
}

function ceilings(result) {
    if (!(result.ceilings || []).length) {
        return html`<section id="ceilings"><h2>Ceilings</h2><p>This run did not measure what the
machine can do at most, so
shares of it are missing.</p></section>`;
    }
    const columns = [
        {head: "ceiling", cell: (c) => c.name},
        {head: "threads", numeric: true, cell: (c) => figure(c, "threads", "count")},
        {head: "median", numeric: true, cell: (c) => figure(c, "median", c.unit)},
    ];
    return html`<section id="ceilings"><h2>Ceilings</h2><p>What this machine can do at most when
no map is involved,
measured in the same run. A map that is near one of them cannot get much faster on this
machine.</p>
${table(columns, result.ceilings, "Ceilings of this machine")}</section>`;
}

function gates(result) {
    if (!(result.gates || []).length) {
        return "";
    }
    const columns = [
        {head: "promise", cell: (g) => html`${g.name} <span class="about">${g.what}</span>`},
        {
            head: "must",
            numeric: true,
            cell: (g) => html`${g.better === "less" ? "≤" : "≥"} ${figure(g, "must", "number")}`,
        },
        {head: "measured", numeric: true, cell: (g) => figure(g, "measured", "number")},
        {head: "aim", cell: (g) => g.aim},
        {
            head: "held",
            cell: (g) =>
                html`<span
class="chip ${g.ok ? "ahead" : "behind"}">${g.ok ? "yes" : "no"}</span>`,
        },
    ];
    const missed = result.gates.filter((g) => !g.ok).length;
    return html`<section id="gates"><h2>Promises</h2><p>${
        missed
            ? `${missed} of ${result.gates.length} promised figures
are missed.`
            : `All ${result.gates.length} promised figures are held.`
    }</p>
${table(columns, result.gates, "Promised figures")}</section>`;
}

/* ---- where, with whom, how ---- */

const MACHINE_WORDS = {
    cpu: "processor",
    processors: "processors",
    memory_bytes: "memory",
    kernel: "kernel",
    huge_pages: "transparent huge pages",
    virtual: "virtual machine",
    governor: "frequency governor",
};
const MACHINE_UNITS = {processors: "count", memory_bytes: "B"};

/** What neighbours on the same host leave of its cache and memory; where it puts processors. */
function machineReadings(noise) {
    const once = "a read that waits for the one before, around each sample";
    const kinds = {
        cache: ["a read of the shared cache (4 MiB)", once],
        memory: ["a read of memory (64 MiB)", once],
        handover: [
            "a line's way between two processors",
            "two threads give a line to each other in turns, around each sample; " +
                "several times as long where the host has moved virtual processors apart",
        ],
        step: [
            "a step of a loop on two processors at once",
            "around each sample; twice as long where the host runs both on one core",
        ],
    };
    return Object.entries(kinds).flatMap(([key, [name, means]]) => {
        const reading = (noise.read_ns || {})[key];
        return reading
            ? [
                  {
                      name,
                      value: html`${figure(reading, "median", "ns")}, at best
${figure(reading, "best", "ns")}, at worst ${figure(reading, "worst", "ns")}`,
                      means,
                  },
              ]
            : [];
    });
}

function machine(result) {
    const facts = Object.entries(result.machine || {}).map(([key, value]) => ({
        name: MACHINE_WORDS[key] || key,
        value: isNumber(value)
            ? figure(result.machine, key, MACHINE_UNITS[key] || "number")
            : (value ?? "not known"),
    }));
    const noise = result.noise || {};
    const say = (key, unit, name, means) =>
        noise[key] === undefined ? [] : [{name, value: figure(noise, key, unit), means}];
    const readings = [
        ...say(
            "load_before",
            "number",
            "load before",
            "programs that wanted to run, on average, in the minute before; " +
                "near 0 on a quiet machine",
        ),
        ...say("load_after", "number", "load after", "the run itself counts here"),
        ...say(
            "steal_share",
            "share",
            "steal",
            "processor time that the host gave to other machines",
        ),
        ...say(
            "foreign_share",
            "share",
            "other programs",
            "processor time of programs that are no part of the bench",
        ),
        ...say("samples", "count", "samples", "single measurements, all peers and rounds together"),
        ...say(
            "noisy_samples",
            "count",
            "noisy samples",
            "those in which steal and other programs took more than 5 % of the machine, or " +
                "memory was much slower than at its best, three attempts in a row",
        ),
        ...machineReadings(noise),
    ];
    return html`<section id="machine"><h2>Machine and noise</h2>
<p>Figures hold for this machine alone. ${noiseSentence(result)} A run in which more than a tenth
of the samples stay noisy is
refused, unless it is asked for.</p><div class="two">
${table(
    [
        {head: "machine", cell: (f) => f.name},
        {head: "", cell: (f) => f.value},
    ],
    facts,
    "The machine",
)}
${table(
    [
        {head: "noise", cell: (f) => f.name},
        {head: "", numeric: true, cell: (f) => f.value},
        {head: "what it is", cell: (f) => f.means},
    ],
    readings,
    "Noise during the run",
)}</div></section>`;
}

const STATUS = {ok: "measured", missing: "missing", failed: "failed", wrong: "wrong answers"};

function peers(result) {
    const columns = [
        {
            head: "map",
            cell: (p) => html`${p.name || p.id} <span class="about"><code>${p.id}</code></span>`,
        },
        {head: "language", cell: (p) => p.language || "–"},
        {head: "version", cell: (p) => p.version || "–"},
        {head: "licence", cell: (p) => p.licence || "–"},
        {
            head: "status",
            cell: (p) =>
                html`<span class="chip ${p.status === "ok" ? "ahead" : "behind"}">${
                    STATUS[p.status] || p.status
                }</span>${p.control ? html` <span class="about">${term("control")}</span>` : ""}`,
        },
        {head: "note", cell: (p) => p.note || ""},
    ];
    const check =
        result.kind === "serve"
            ? "Each server runs in its own process; all are driven by the same load generator."
            : html`Each map runs in its own process and replays the same trace. Before it is
measured, one thread replays the trace in order, and the ${term("checksum")} of all its answers has
to be the same for all; a peer that differs is named here and gets no figure.`;
    return html`<section id="peers"><h2>Peers</h2><p>${check}</p>
<div class="cards">${table(columns, result.peers, "Maps of this run")}</div></section>`;
}

/** How figures came about: of maps in processes of their own, or of servers under one load. */
const METHOD = {
    map: html`<li>The driver writes a trace: one list of operations per workload. Every map replays
that list, in a process and language of its own, so that none shares an allocator, a compiler or a
garbage collector with another.</li>
<li>All maps of a cell are filled, then take turns, round by round, in an order that rotates.</li>
<li>Controls show what replaying costs: a map that does nothing, and the language's usual map under
one mutex. They take no part in the verdict.</li>`,
    serve: html`<li>One load generator drives every server, through real connections on this
machine. Generator and server share its processors; where the generator was at its limit, the
tables
say so.</li>
<li>The servers take turns, round by round.</li>
<li>Processor time is that of the server, divided by the requests it answered.</li>`,
};

function how(result) {
    const words = Object.entries(GLOSSARY).map(
        ([word, means]) => html`<dt>${word}</dt><dd>${means}.</dd>`,
    );
    return html`<section id="how"><h2>How it was measured</h2>
<ul>${METHOD[result.kind] || METHOD.map}
<li>Figures are medians over rounds; a ratio is the median of the ratios within rounds, since what
disturbs a round disturbs both.</li>
<li>Processor time that others took is read around each sample; a disturbed sample is
repeated.</li>
</ul>
<p>This run took ${figure(result, "seconds", "number")} seconds${
        result.command && html`, with <code>${result.command}</code>`
    }.</p>
<h3>Words</h3><dl>${words}</dl>
</section>`;
}

function rawData() {
    return html`<section id="data"><h2>Data</h2><p>Every figure of this page is computed from one
JSON object, which the page
holds. <a class="download" download="weft-bench.json" href="#data">Download it</a>, and compare
it with another run:
<code>weft bench compare A.json B.json</code>.</p></section>`;
}

function contents(sections) {
    const links = sections
        .flatMap((part) => [...String(htmlOf(part)).matchAll(/<section id="(\w+)"><h2>([^<]*)</g)])
        .map(([, id, title]) => html`<li><a href="#${id}">${new Html(title)}</a></li>`);
    return html`<nav aria-label="Parts of this page"><ul>${links}</ul></nav>`;
}

function renderPage(result) {
    notePointers(result, "");
    const sections = [
        adviceSection(result),
        verdictTable(result),
        whereWeLose(result),
        gates(result),
        judgedFigure(result),
        latencyAgainstThreads(result),
        percentiles(result),
        quantity(
            result,
            "memory",
            BESIDE[2],
            "Memory per entry",
            html`${term("bytes per entry", "Bytes per entry")} after
the fill; less is better.`,
        ),
        quantity(
            result,
            "fill",
            BESIDE[4],
            "Fill and growth",
            html`Entries stored in a second while the map grows from
empty; more is better.`,
        ),
        quantity(
            result,
            "cpu",
            BESIDE[3],
            "CPU per operation",
            html`Processor time, collectors included; less is
better. With two busy threads a second of run is two seconds of processor time.`,
        ),
        series(result),
        ceilings(result),
        allFigures(result),
        machine(result),
        peers(result),
        how(result),
        rawData(),
    ];
    return htmlOf(
        html`${pageHead(result)}<main>${verdict(result)}${warnings(result)}${contents(sections)}
${sections}</main>`,
    );
}
