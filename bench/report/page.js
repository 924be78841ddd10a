// SPDX-License-Identifier: MIT
// Puts the page into the browser's window: the one part that needs a browser.
"use strict";

function themeNow() {
    return (
        document.documentElement.dataset.theme ||
        (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")
    );
}

/** A browser may refuse to keep settings of a file; the page works without. */
function remembered(theme) {
    try {
        if (theme) {
            localStorage.setItem("weft-bench-theme", theme);
        }
        return localStorage.getItem("weft-bench-theme");
    } catch {
        return null;
    }
}

function showPage() {
    const data = document.getElementById("result").textContent;
    const result = JSON.parse(data);
    document.getElementById("page").innerHTML = renderPage(result);
    document.title = `weft bench: ${headline(result)}`;
    const address = URL.createObjectURL(new Blob([data], {type: "application/json"}));
    for (const link of document.querySelectorAll("[download]")) {
        link.href = address;
    }
    document.documentElement.dataset.theme = remembered() || "";
    document.getElementById("theme").addEventListener("click", () => {
        const theme = themeNow() === "dark" ? "light" : "dark";
        document.documentElement.dataset.theme = theme;
        remembered(theme);
    });
    addEventListener("beforeprint", () => {
        for (const part of document.querySelectorAll("details")) {
            part.open = true;
        }
    });
}

if (typeof document !== "undefined") {
    showPage();
}
