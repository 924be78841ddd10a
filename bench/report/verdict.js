// SPDX-License-Identifier: MIT
// Who is ahead: the head of the page, its notes, the verdict, and where weft loses.
"use strict";

const isWeft = (id) => /^weft\b/.test(id);

function peerOf(result, id) {
    return result.peers.find((peer) => peer.id === id) || {id, name: id};
}

const nameOf = (peer) => peer.name || peer.id;

const isControl = (result, id) => peerOf(result, id).control === true;

/** How a line or bar is drawn: judged engine, weft's others, best peer, controls, the rest. */
function roleOf(result, cell, id) {
    if (id === cell.weft) {
        return "weft";
    }
    if (isWeft(id)) {
        return "engine";
    }
    return id === cell.best_peer ? "best" : isControl(result, id) ? "control" : "other";
}

/** Who is ahead in a cell. A range that holds 1 has no winner. */
function outcome(cell) {
    if (!isNumber(cell.ratio)) {
        return {key: "alone", words: "no peer to compare with"};
    }
    const low = isNumber(cell.ratio_low) ? cell.ratio_low : cell.ratio;
    const high = isNumber(cell.ratio_high) ? cell.ratio_high : cell.ratio;
    if (low > 1) {
        return {key: "ahead", words: "weft ahead"};
    }
    return high < 1
        ? {key: "behind", words: "peer ahead"}
        : {key: "level", words: "no clear winner"};
}

const missesMust = (result, cell) =>
    isNumber(cell.ratio) && cell.ratio < (promiseOf(result, cell) || {}).must;

const resultOf = (cell, id) => cell.results.find((one) => one.peer === id);

const unitOf = (cell) => cell.unit;

/** How a cell was driven: by threads of a map's process, or through connections to a server. */
function settingOf(cell) {
    if (isNumber(cell.connections)) {
        return html`${figure(cell, "connections", "count")} connections <span
class="about id">pipeline ${figure(cell, "pipeline", "count")}</span>`;
    }
    const words = cell.threads === 1 ? "thread" : "threads";
    return isNumber(cell.threads) ? html`${figure(cell, "threads", "count")} ${words}` : "–";
}

/** Not so for servers: there the threads are the load generator's. */
const drivesThreads = (cell) => isNumber(cell.threads) && !isNumber(cell.connections);

const cellName = (cell) =>
    drivesThreads(cell) ? `${cell.workload}, ${plural(cell.threads, "thread")}` : cell.id;

/** One cell of each workload and number of threads: what stands beside the judged figure is the
 * same in all of them. */
function firstCells(result) {
    const found = new Map();
    for (const cell of result.cells) {
        const key = `${cell.workload} ${cell.threads}`;
        found.set(key, found.get(key) || cell);
    }
    return [...found.values()];
}

/** The promise about a cell's ratio, if the run judged one. */
const promiseOf = (result, cell) =>
    (result.gates || []).find((g) => g.name === cell.id && g.measured === cell.ratio);

const judged = (result) => result.cells.filter((cell) => isNumber(cell.ratio));

function geometricMean(values) {
    return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/* ---- the top of the page ---- */

function pageHead(result) {
    const weft = result.weft || {};
    const when = (result.started || "").replace("T", " ").replace("Z", " UTC");
    return html`<header><p class="kind">weft bench · ${result.kind}</p>
<h1>${headline(result)}</h1>
<p class="quiet">${when}${when && " · "}weft ${weft.version}
${weft.commit && html`<code>${weft.commit}</code>`}
${weft.compiler && ` · ${weft.compiler}`}${
        result.command &&
        html` ·
<code>${result.command}</code>`
    }</p>
<p class="actions"><button type="button" id="theme">Dark or light</button>
<a id="download" download="weft-bench.json" href="#data">Download the data</a></p></header>`;
}

function headline(result) {
    const cells = judged(result);
    const count = (key) => cells.filter((cell) => outcome(cell).key === key).length;
    if (result.advice) {
        return adviceHeadline(result);
    }
    if (cells.length === 0) {
        return "Nothing was compared in this run";
    }
    const parts = [];
    if (count("ahead") === cells.length) {
        return cells.length === 1 ? "weft is ahead" : `weft is ahead in all ${cells.length} cells`;
    }
    parts.push(`weft is ahead in ${count("ahead")} of ${plural(cells.length, "cell")}`);
    if (count("behind")) {
        parts.push(`behind in ${count("behind")}`);
    }
    if (count("level")) {
        parts.push(`not to be told apart in ${count("level")}`);
    }
    return parts.join(", ");
}

function verdict(result) {
    const cells = judged(result);
    if (result.advice) {
        return adviceSentence(result);
    }
    if (cells.length === 0) {
        return html`<p class="verdict">No cell of this result has both weft and a peer, so there
is nothing to judge:
the figures below stand alone. ${noiseSentence(result)}</p>`;
    }
    const ratios = cells.map((cell) => cell.ratio);
    const least = cells[ratios.indexOf(Math.min(...ratios))];
    return html`<p class="verdict">Set against the best of its peers in each of
${plural(cells.length, "cell")}, weft
does ${computed(geometricMean(ratios), "number")} times as well in the geometric mean, and
${figure(least, "ratio", "number")} times where it does worst (${cellName(least)}, against
${peerOf(result, least.best_peer).name}). ${noiseSentence(result)}</p>`;
}

function noiseSentence(result) {
    const noise = result.noise || {};
    const machine = result.machine || {};
    const where = machine.processors
        ? ` on ${plural(machine.processors, "processor")}${
              machine.virtual ? ` of a virtual machine (${machine.virtual})` : ""
          }`
        : "";
    const samples = isNumber(noise.samples)
        ? html`${figure(noise, "noisy_samples", "count")} of
${figure(noise, "samples", "count")} samples`
        : "its samples";
    return noise.noisy
        ? html`The run${where} was disturbed by other work (${samples} stayed noisy): take no
figure from
it.`
        : html`The run${where} was quiet enough to be judged: ${samples} stayed noisy.`;
}

/** What a reader has to know before believing anything on the page. */
function warnings(result) {
    const notes = [];
    if (result.partial) {
        notes.push("This run was stopped before its end: cells and rounds are missing.");
    }
    if ((result.noise || {}).noisy) {
        notes.push(
            "Other work disturbed this run, and it was kept all the same (--noisy). " +
                "Its figures show how the tool works, not how fast anything is.",
        );
    }
    const wrong = result.peers.filter((peer) => peer.status === "wrong");
    if (wrong.length) {
        notes.push(
            `${plural(wrong.length, "peer")} failed a check and got no figures: ` +
                `${wrong.map(nameOf).join("; ")}. What was wrong stands under “Peers”.`,
        );
    }
    const missing = result.peers.filter((peer) => ["missing", "failed"].includes(peer.status));
    if (missing.length) {
        notes.push(
            `${plural(missing.length, "peer")} could not be measured: ` +
                `${missing.map(nameOf).join("; ")}. The reasons stand under “Peers”.`,
        );
    }
    const without = result.cells.filter((cell) => !resultOf(cell, cell.weft));
    if (without.length) {
        notes.push(
            `weft itself has no figure in ${plural(without.length, "cell")}: ` +
                `${without.map((cell) => cell.id).join(", ")}. Nothing is judged there.`,
        );
    }
    return notes.map((note) => html`<p class="note bad"><strong>Note.</strong> ${note}</p>`);
}

/* ---- verdict, losses ---- */

function verdictTable(result) {
    const cells = judged(result);
    if (cells.length === 0) {
        return "";
    }
    const all = cells
        .flatMap((c) => [c.ratio, c.ratio_low, c.ratio_high])
        .filter((r) => isNumber(r) && r > 0);
    const most = Math.max(1.5, ...all.map((r) => Math.max(r, 1 / r)));
    const columns = [
        {head: "workload", cell: (c) => html`${c.workload} <span class="about">${c.about}</span>`},
        {head: "with", nowrap: true, cell: settingOf},
        {
            head: "weft",
            numeric: true,
            cell: (c) => html`${figure(resultOf(c, c.weft), "median", unitOf(c))}
<span class="about id">${c.weft}</span>`,
        },
        {
            head: "best peer",
            numeric: true,
            cell: (c) => html`${figure(resultOf(c, c.best_peer), "median", unitOf(c))}
<span class="about id">${c.best_peer}</span>`,
        },
        {
            head: term("ratio"),
            label: "ratio",
            numeric: true,
            cell: (c) => html`<strong>${figure(c, "ratio", "ratio")}</strong>
${range(c, "ratio_low", "ratio_high", "number")}`,
        },
        {
            head: html`peer ahead&ensp;|&ensp;weft
ahead`,
            label: "",
            cell: (c) => ratioMark(c, most),
        },
        {
            head: "verdict",
            cell: (c) => html`<span class="chip ${outcome(c).key}">${outcome(c).words}</span>`,
        },
    ];
    if (cells.some((c) => isNumber(c.ceiling_share))) {
        columns.push({
            head: html`share of the ${term("ceiling")}`,
            label: "share of the ceiling",
            numeric: true,
            cell: (c) =>
                html`${figure(c, "ceiling_share", "share")} <span
class="about">${c.ceiling}</span>`,
        });
    }
    return html`<section id="verdict"><h2>Verdict</h2>
<p>One row a ${term("cell")}: the ${term("median")} over all rounds. The dot is the
${term("ratio")}, the bar through it
goes from the least round to the greatest, the upright stroke is 1; the scale is logarithmic and
the same in all rows, and
ends at ${computed(most, "ratio")} on either side. A range that crosses 1 has no winner.</p>
<div
class="cards">${table(columns, cells, "weft and the best peer in each cell")}</div></section>`;
}

/** Quantities that a cell tells beside its figure, with the best peer in each. */
const BESIDE = [
    {name: "p99 latency", unit: "ns", better: "less", of: (one) => [one.latency, "p99"]},
    {name: "p99.9 latency", unit: "ns", better: "less", of: (one) => [one.latency, "p999"]},
    {
        name: "memory per entry",
        unit: "B/entry",
        better: "less",
        of: (one) => [one, "bytes_per_entry"],
    },
    {name: "CPU per operation", unit: "ns", better: "less", of: (one) => [one, "cpu_ns"]},
    {name: "fill", unit: "1/s", better: "more", of: (one) => [one, "fill"]},
];

function readingOf(one, measure) {
    const [object, key] = one ? measure.of(one) : [];
    const value = object ? object[key] : undefined;
    return isNumber(value) && value > 0 ? {object, key, value, id: one.peer} : null;
}

/** Where weft is behind in one of the quantities beside: {cell, measure, weft, peer, ratio}. */
function lossesBeside(result) {
    const losses = [];
    for (const cell of firstCells(result)) {
        for (const measure of BESIDE) {
            const weft = readingOf(resultOf(cell, cell.weft), measure);
            const others = cell.results
                .filter((one) => !isWeft(one.peer) && !isControl(result, one.peer))
                .map((one) => readingOf(one, measure))
                .filter(Boolean);
            const ratios = others.map((peer) =>
                measure.better === "less" ? peer.value / weft?.value : weft?.value / peer.value,
            );
            const least = Math.min(...ratios);
            const peer = others[ratios.indexOf(least)];
            if (weft && least < 1) {
                losses.push({cell, measure, weft, peer, ratio: least});
            }
        }
    }
    // A map is filled once for all numbers of threads: what the fill tells is told once.
    const told = (loss) =>
        [loss.cell.workload, loss.measure.name, loss.weft.value, loss.peer.value].join(" ");
    const first = new Map([...losses].reverse().map((loss) => [told(loss), loss]));
    return losses
        .filter((loss) => first.get(told(loss)) === loss)
        .sort((a, b) => a.ratio - b.ratio);
}

function lossTable(result) {
    const losses = judged(result)
        .filter((cell) => cell.ratio < 1 || missesMust(result, cell))
        .sort((a, b) => a.ratio - b.ratio);
    if (losses.length === 0) {
        return html`<p>${
            judged(result).length
                ? "In the figure that is judged: nowhere in this run."
                : "Nothing was compared in this run, so it does not show where weft loses."
        }</p>`;
    }
    const columns = [
        {head: "workload", cell: (c) => html`${c.workload} <span class="about">${c.about}</span>`},
        {head: "with", nowrap: true, cell: settingOf},
        {
            head: "weft",
            numeric: true,
            cell: (c) => figure(resultOf(c, c.weft), "median", unitOf(c)),
        },
        {
            head: "best peer",
            numeric: true,
            cell: (c) => html`${figure(resultOf(c, c.best_peer), "median", unitOf(c))}
<span class="about">${peerOf(result, c.best_peer).name}</span>`,
        },
        {
            head: "ratio",
            numeric: true,
            cell: (c) => html`<strong>${figure(c, "ratio", "ratio")}</strong>
${range(c, "ratio_low", "ratio_high", "number")}`,
        },
        {head: "what that means", cell: (c) => lossWords(result, c)},
    ];
    return html`<div
class="cards">${table(columns, losses, "Cells in which weft is behind, the worst first")}</div>`;
}

/** How far the peer is ahead, as one would say it. */
function aheadBy(ratio) {
    const times = 1 / ratio;
    return times < 2
        ? html`is ahead by ${computed(times - 1, "share")}`
        : html`does ${computed(times, "number")} times as well`;
}

function lossWords(result, cell) {
    if (cell.ratio >= 1) {
        return html`Ahead, but not by the ${figure(promiseOf(result, cell), "must", "number")}
times that are
promised.`;
    }
    const certain =
        outcome(cell).key === "behind"
            ? "in every round"
            : "in the median round, though not in all";
    const must = missesMust(result, cell)
        ? html` ${figure(promiseOf(result, cell), "must", "number")} times were promised.`
        : "";
    return html`The peer ${aheadBy(cell.ratio)} ${certain}.${must}`;
}

const LOSSES_SHOWN = 12;

function whereWeLose(result) {
    const beside = lossesBeside(result);
    const told = new Set(
        BESIDE.filter((m) => result.cells.some((c) => readingOf(resultOf(c, c.weft), m))).map(
            (m) => m.name,
        ),
    );
    const columns = [
        {head: "quantity", cell: (l) => l.measure.name},
        {head: "cell", cell: (l) => cellName(l.cell)},
        {
            head: "weft",
            numeric: true,
            cell: (l) => figure(l.weft.object, l.weft.key, l.measure.unit),
        },
        {
            head: "best peer",
            numeric: true,
            cell: (l) => html`${figure(l.peer.object, l.peer.key, l.measure.unit)}
<span class="about">${peerOf(result, l.peer.id).name}</span>`,
        },
        {
            head: "ratio",
            numeric: true,
            cell: (l) => html`<strong>${computed(l.ratio, "ratio")}</strong>`,
        },
    ];
    const caption = "Where a peer is ahead, the worst first";
    const more = beside.slice(LOSSES_SHOWN);
    const rest = beside.length
        ? html`<p>Beside the figure that is judged, the best peer is ahead of weft in
${plural(beside.length, "place")}; ratios below 1 are in the peer's favour.</p>
<div class="cards">${table(columns, beside.slice(0, LOSSES_SHOWN), caption)}</div>${
              more.length > 0 &&
              html`<details><summary>${plural(more.length, "more place")}, less far
behind</summary><div class="cards">${table(columns, more, caption)}</div></details>`
          }`
        : html`<p>Beside it (${listed([...told])}): nowhere in this run.</p>`;
    return html`<section id="lose"><h2>Where we
lose</h2>${lossTable(result)}${told.size ? rest : ""}</section>`;
}
