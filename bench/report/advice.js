// SPDX-License-Identifier: MIT
// What `weft advise` said: the use of the map, the rule that decided, what was measured.
"use strict";

const advicesOf = (result) => result.advice || [];

const engineName = (name) => (name === "plain" ? "a plain map" : name);

function adviceHeadline(result) {
    const advices = advicesOf(result);
    return advices.length === 1
        ? `Advice for ${advices[0].trace}: ${engineName(advices[0].advice)}`
        : `Advice for ${plural(advices.length, "trace")}`;
}

function adviceSentence(result) {
    const agreed = advicesOf(result).filter((one) => one.agrees).length;
    return html`<p class="verdict">Each trace was replayed on every engine that can, and on a plain
table under a mutex. Rule and measurement name the same in ${agreed} of
${plural(advicesOf(result).length, "trace")}. ${noiseSentence(result)}</p>`;
}

const quantityOf = (object, key, unit) =>
    isNumber(object[key]) ? figure(object, key, unit) : "not known";

function dimensions(advice) {
    const d = advice.dimensions;
    const rows = [
        ["operations a second and processor, at best", figure(d, "rate_per_core", "1/s")],
        ["… that are needed", quantityOf(d, "rate_needed", "1/s")],
        ["entropy of keys over 1024 buckets, of 10 bits", figure(d, "entropy_bits", "number")],
        ["reads, in 100 operations", figure(d, "reads_percent", "number")],
        ["p99.9 of the best map", figure(d, "tail_least_ns", "ns")],
        ["p99.9 of the worst map", figure(d, "tail_most_ns", "ns")],
        ["entries at most", figure(d, "entries_most", "count")],
        ["operations that a key lives", quantityOf(d, "lifetime_operations", "count")],
    ].map(([name, value]) => ({name, value}));
    return table(
        [
            {head: "dimension", cell: (row) => row.name},
            {head: "", numeric: true, cell: (row) => row.value},
        ],
        rows,
        `How ${advice.trace} uses a map`,
    );
}

function measuredRows(advice) {
    const named = (row) => row.peer === advice.peer;
    return table(
        [
            {
                head: "map",
                cell: (row) =>
                    html`${engineName(row.engine)}${
                        named(row) ? html` <span class="chip ahead">advised</span>` : ""
                    }`,
            },
            {head: "rate", numeric: true, cell: (row) => figure(row, "rate", "1/s")},
            {head: "a core", numeric: true, cell: (row) => figure(row, "rate_per_core", "1/s")},
            {head: "p99.9", numeric: true, cell: (row) => figure(row, "p999_ns", "ns")},
            {head: "why not", cell: (row) => row.note},
        ],
        advice.measured,
        `${advice.trace}, measured by ${plural(advice.threads, "thread")}`,
    );
}

function oneAdvice(advice) {
    return html`<h3>${advice.trace}: ${engineName(advice.advice)}</h3>
<p>Rule <code>${advice.rule.name}</code> (${advice.rule.when}) says
${engineName(advice.rule.engine)}: ${advice.rule.why}. ${engineName(advice.advice)} is advised
because ${advice.because}.</p>
<p><code>${advice.options}</code></p>
<div class="cards">${dimensions(advice)}${measuredRows(advice)}</div>`;
}

function adviceSection(result) {
    return advicesOf(result).length === 0
        ? ""
        : html`<section id="advice"><h2>Advice</h2>${advicesOf(result).map(oneAdvice)}</section>`;
}
