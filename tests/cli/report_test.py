#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`weft bench report`: the page is whole and well-formed, says what the result says, and every
figure on it is the result's. The page's script runs in node; in Chromium too, where that is."""
import copy
import html.parser
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BINARY = os.environ.get("WEFT_BINARY", os.path.join(ROOT, "build", "weft"))
DATA = os.path.join(HERE, "data")
NODE = shutil.which("node")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
VOID = {"meta", "link", "br", "input", "hr", "img"}
SCALES = {"k": 1e3, "M": 1e6, "G": 1e9, "ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "B": 1,
          "KiB": 2 ** 10, "MiB": 2 ** 20, "GiB": 2 ** 30, "%": 0.01}


class Page(html.parser.HTMLParser):
    """The elements of a page, each {tag, attributes, text, parents}; refuses what is not closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.open = []
        self.feed(text)
        self.close()
        if self.open:
            raise ValueError("not closed: %s" % [e["tag"] for e in self.open])

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(set(names)) != len(names):
            raise ValueError("an attribute twice: %s %s" % (tag, attrs))
        element = {"tag": tag, "attributes": dict(attrs), "text": "", "parents": list(self.open)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1]["tag"] != tag:
            raise ValueError("</%s> closes %s" % (tag, [e["tag"] for e in self.open]))
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [e for e in self.elements if e["tag"] == tag and
                all(e["attributes"].get(k) == v for k, v in attributes.items())]

    def within(self, parent, tag):
        return [e for e in self.elements if e["tag"] == tag and
                any(p is parent for p in e["parents"])]

    def section(self, name):
        found = self.all("section", id=name)
        if len(found) != 1:
            raise ValueError("%d sections %s" % (len(found), name))
        return found[0]


def words(element):
    return " ".join(element["text"].split())


def data(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as stream:
        return json.load(stream)


def follow(result, pointer):
    for part in pointer.split("/")[1:]:
        result = result[int(part) if isinstance(result, list) else part]
    return result


def shown_value(text, unit):
    """What a figure says, in the unit of the result."""
    number, _, tail = text.partition("\u202f") if unit not in ("count", "number") else (
        text.replace("\u202f", ""), "", "")
    while re.match(r"\d", tail):  # the blank stood between groups of digits
        more, _, tail = tail.partition("\u202f")
        number += more
    found = float(number)
    if unit == "ratio" or unit == "B/entry":
        return found
    name = tail.split("/")[0]
    return found * SCALES.get(name, 1)


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weft-report-")
        self.addCleanup(shutil.rmtree, self.folder)

    def report(self, *arguments):
        return subprocess.run([BINARY, "bench", "report", *arguments], text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def page_file(self, result):
        """The file that the command writes for a result."""
        source = os.path.join(self.folder, "result.json")
        with open(source, "w", encoding="utf-8") as stream:
            json.dump(result, stream)
        page = os.path.join(self.folder, "page.html")
        done = self.report(source, "-o", page)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, page + "\n", ""))
        return page

    def drawn(self, result):
        """The page's inside, as its own script makes it of the result."""
        if not NODE:
            self.skipTest("node is not installed")
        with open(self.page_file(result), encoding="utf-8") as stream:
            text = stream.read()
        script = re.findall(r"<script>(.*?)</script>", text, flags=re.S)[-1]
        embedded = re.search(r'<script type="application/json" id="result">(.*?)</script>', text,
                             flags=re.S).group(1)
        self.assertEqual(json.loads(embedded), result)
        program = os.path.join(self.folder, "page.js")
        with open(program, "w", encoding="utf-8") as stream:
            stream.write(script)
            stream.write("\nprocess.stdout.write(renderPage(JSON.parse(%s)));\n" %
                         json.dumps(embedded))
        done = subprocess.run([NODE, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr.decode()), (0, ""))
        return Page(done.stdout.decode())

    def test_one_file(self):
        with open(self.page_file(data("full.json")), encoding="utf-8") as stream:
            text = stream.read()
        Page(text)
        self.assertIsNone(re.search(r"https?:|\bsrc=|@import|url\((?!data:)", text))
        self.assertNotIn("@RESULT@", text)
        self.assertNotIn("@STYLE@", text)
        self.assertIn("prefers-color-scheme: dark", text)
        self.assertIn("@media print", text)

    def test_well_formed(self):
        for name in ("full.json", "won.json", "bare.json", "advice.json"):
            page = self.drawn(data(name))
            ids = [e["attributes"]["id"] for e in page.elements if "id" in e["attributes"]]
            self.assertEqual(len(ids), len(set(ids)))
            for link in page.all("a"):
                self.assertIn(link["attributes"]["href"][1:], ids)
            for picture in page.all("svg"):
                self.assertEqual(picture["attributes"]["role"], "img")
                self.assertTrue(picture["attributes"]["aria-label"])
                self.assertNotIn("NaN", " ".join(str(v) for e in page.within(picture, "path")
                                                 for v in e["attributes"].values()))
            for figure in page.all("figure"):
                self.assertTrue(page.within(figure, "td"), words(figure))
            for head in page.all("th"):
                self.assertIn(head["attributes"]["scope"], ("row", "col"))
            whole = " ".join(words(e) for e in page.all("main") + page.all("header"))
            self.assertIsNone(re.search(r"undefined|NaN|null|\[object|Infinity", whole), whole)

    def test_figures_are_the_results(self):
        for name in ("full.json", "won.json", "bare.json", "advice.json"):
            result = data(name)
            page = self.drawn(result)
            figures = page.all("data")
            sourced = [e for e in figures if "data-from" in e["attributes"]]
            self.assertTrue(sourced)
            for element in figures:
                attributes = element["attributes"]
                value = float(attributes["value"])
                if "data-from" in attributes:
                    self.assertEqual(value, follow(result, attributes["data-from"]))
                if "data-count" in attributes:
                    self.assertEqual(value, len(follow(result, attributes["data-count"])))
                unit = attributes.get("data-unit", "count")
                self.assertTrue(math.isclose(shown_value(element["text"], unit), value,
                                             rel_tol=0.006, abs_tol=1e-9),
                                (element["text"], unit, value))

    def test_no_other_figures(self):
        """A numeric column of a table holds figures and names, and no digits of its own."""
        for name in ("full.json", "won.json", "bare.json", "advice.json"):
            page = self.drawn(data(name))
            for cell in page.all("td"):
                if cell["attributes"].get("class") != "n":
                    continue
                rest = cell["text"]
                for part in page.within(cell, "data") + [
                        e for e in page.within(cell, "span")
                        if e["attributes"].get("class") == "about"]:
                    rest = rest.replace(part["text"], "", 1)
                self.assertIsNone(re.search(r"\d", rest), cell["text"])

    def test_verdict(self):
        page = self.drawn(data("full.json"))
        self.assertEqual(words(page.all("h1")[0]),
                         "weft is ahead in 3 of 5 cells, behind in 1, not to be told apart in 1")
        rows = page.within(page.section("verdict"), "tr")[1:]
        verdicts = [re.search(r"weft ahead|peer ahead|no clear winner", words(row)).group(0)
                    for row in rows]
        self.assertEqual(verdicts, ["weft ahead", "weft ahead", "peer ahead", "no clear winner",
                                    "weft ahead"])
        self.assertEqual(words(self.drawn(data("won.json")).all("h1")[0]), "weft is ahead")
        self.assertEqual(words(self.drawn(data("bare.json")).all("h1")[0]),
                         "Nothing was compared in this run")

    def losing(self, result):
        """(workloads of the first table, (quantity, cell) of the second) of "Where we lose"."""
        page = self.drawn(result)
        section = page.section("lose")
        cells, beside = [], []
        for found in page.within(section, "table"):
            rows = page.within(found, "tr")
            is_beside = "quantity" in rows[0]["text"]
            for row in rows[1:]:
                parts = page.within(row, "th") + page.within(row, "td")
                if is_beside:
                    beside.append((words(parts[0]), words(parts[1])))
                else:
                    cells.append(words(parts[0]).split()[0])
        return cells, beside, words(section)

    def test_where_we_lose(self):
        result = data("full.json")
        cells, beside, _ = self.losing(result)
        wanted = sorted((c for c in result["cells"] if c["ratio"] < 1), key=lambda c: c["ratio"])
        self.assertEqual(cells, [c["workload"] for c in wanted])
        self.assertEqual(cells, ["test-hot"])
        # Of the first cell: 40.5 bytes against 25.25, 410 ns against 390, 5.5 M/s against 6.1.
        self.assertEqual(beside, [("memory per entry", "test-reads, 1 thread"),
                                  ("fill", "test-reads, 1 thread"),
                                  ("p99.9 latency", "test-reads, 1 thread")])

    def test_where_we_lose_nowhere(self):
        cells, beside, text = self.losing(data("won.json"))
        self.assertEqual((cells, beside), ([], []))
        self.assertEqual(text.count("nowhere in this run"), 2)
        _, _, text = self.losing(data("full.json"))
        self.assertNotIn("nowhere", text)
        _, _, text = self.losing(data("bare.json"))
        self.assertNotIn("nowhere", text)
        self.assertIn("does not show where weft loses", text)

    def test_a_must_that_is_missed(self):
        result = data("won.json")
        result["gates"] = [{"name": result["cells"][0]["id"], "must": 3, "better": "more",
                            "aim": "5", "what": "against the best peer", "ok": False,
                            "measured": result["cells"][0]["ratio"]}]
        cells, _, text = self.losing(result)
        self.assertEqual(cells, ["test-reads"])
        self.assertIn("Ahead, but not by the 3.00 times that are promised", text)

    def test_notes(self):
        text = words(self.drawn(data("bare.json")).all("main")[0])
        self.assertIn("This run was stopped before its end", text)
        self.assertIn("Other work disturbed this run", text)
        self.assertIn("did not measure the latency", text)
        text = words(self.drawn(data("full.json")).all("main")[0])
        self.assertIn("1 peer failed a check and got no figures: Peer D", text)
        self.assertIn("1 peer could not be measured: Peer C", text)
        self.assertIn("cargo is not installed", text)
        self.assertIn("expected 00000000000000bb", text)
        self.assertNotIn("stopped before its end", text)

    def test_without_weft(self):
        result = data("won.json")
        del result["cells"][0]["results"][0]
        result["cells"][0].update(ratio=None, ratio_low=None, ratio_high=None)
        text = words(self.drawn(result).all("main")[0])
        self.assertIn("weft itself has no figure in 1 cell: test-reads/1", text)
        self.assertNotIn("nowhere in this run", text)

    def test_servers(self):
        """A run of servers: connections instead of threads, and its own words."""
        result = data("won.json")
        result["kind"] = "serve"
        result["cells"][0].update(connections=50, pipeline=16, ceiling=None, ceiling_share=None)
        result["cells"][0]["results"][2]["client_bound"] = True
        page = self.drawn(result)
        verdict = words(page.section("verdict"))
        self.assertIn("50 connections pipeline 16", verdict)
        self.assertNotIn("1 thread", verdict)
        self.assertNotIn("share of the", verdict)
        self.assertIn("One load generator drives every server", words(page.section("how")))
        self.assertIn("the load generator was at its limit", words(page.section("figures")))
        self.assertNotIn("32nd", words(page.section("percentiles")))

    def test_filled_once(self):
        """What the fill tells is the same for all numbers of threads, and told once."""
        result = data("full.json")
        for cell in result["cells"][:2]:
            cell["results"][0]["bytes_per_entry"] = 90.5
            cell["results"][2]["bytes_per_entry"] = 30.25
        _, beside, _ = self.losing(result)
        self.assertEqual([cell for quantity, cell in beside if quantity == "memory per entry"],
                         ["test-reads, 1 thread"])

    def test_advice(self):
        result = data("advice.json")
        page = self.drawn(result)
        advice = result["advice"][0]
        name = "a plain map" if advice["advice"] == "plain" else advice["advice"]
        self.assertEqual(words(page.all("h1")[0]), "Advice for advise-tiny: " + name)
        text = words(page.section("advice"))
        for word in (advice["rule"]["name"], advice["rule"]["why"], advice["because"],
                     advice["options"], "entropy of keys"):
            self.assertIn(word, text)
        named = [words(row) for row in page.within(page.section("advice"), "tr")
                 if "advised" in words(row)]
        self.assertEqual(len(named), 1)
        self.assertTrue(named[0].startswith(name), named)
        self.assertNotIn("advice", {e["attributes"].get("id") for e in
                                    self.drawn(data("full.json")).all("section")})

    def test_pictures(self):
        page = self.drawn(data("full.json"))
        titles = {e["attributes"]["id"]: len(page.within(e, "figure"))
                  for e in page.all("section")}
        self.assertEqual({k: v for k, v in titles.items() if v},
                         {"judged": 4, "p99": 1, "percentiles": 1, "memory": 1, "fill": 1,
                          "cpu": 1, "series": 1})
        self.assertNotIn("series", {e["attributes"]["id"] for e in
                                    self.drawn(data("won.json")).all("section")})

    def test_hostile_names(self):
        result = data("full.json")
        result["peers"][2]["name"] = "</script><img src=x onerror=alert(1)>"
        result["cells"][0]["about"] = "'\"><script>alert(1)</script>"
        with open(self.page_file(result), encoding="utf-8") as stream:
            page = Page(stream.read())
        self.assertEqual(len(page.all("script")), 2)
        page = self.drawn(result)
        self.assertEqual(page.all("img") + page.all("script") + page.all("one"), [])
        self.assertIn(result["peers"][2]["name"], page.all("main")[0]["text"])

    def test_units(self):
        result = data("won.json")
        weft = result["cells"][0]["results"][0]
        for value, shown in ((999.6, "1.00\u202fk/s"), (0.5, "0.500\u202f/s"),
                             (12345, "12.3\u202fk/s"), (9.996e6, "10.0\u202fM/s"),
                             (3.1e10, "31.0\u202fG/s"), (1000.0, "1.00\u202fk/s")):
            weft["median"] = value
            page = self.drawn(copy.deepcopy(result))
            found = [e["text"] for e in page.all("data", **{
                "data-from": "/cells/0/results/0/median"})]
            self.assertEqual(set(found), {shown})

    def test_browser(self):
        if not BROWSER:
            self.skipTest("neither chromium nor google-chrome is installed")
        profile = os.path.join(self.folder, "profile")
        done = subprocess.run([BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu",
                               "--user-data-dir=" + profile, "--enable-logging=stderr",
                               "--dump-dom", "file://" + self.page_file(data("full.json"))],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              check=False)
        if done.returncode != 0:
            self.skipTest("%s does not start here" % BROWSER)
        self.assertNotIn("CONSOLE", done.stderr.decode("utf-8", "replace"))
        dom = done.stdout.decode()
        self.assertIn('<section id="lose">', dom)
        self.assertIn('href="blob:', dom)
        self.assertIn("<title>weft bench: weft is ahead in 3 of 5 cells", dom)

    def test_usage(self):
        full = os.path.join(DATA, "full.json")
        for arguments in ((), (full, full), ("--what", full), (full, "-o")):
            done = self.report(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(self.report("--help").returncode, 0)

    def test_files(self):
        source = os.path.join(self.folder, "run.json")
        shutil.copy(os.path.join(DATA, "won.json"), source)
        done = self.report(source)
        self.assertEqual(done.stdout, os.path.join(self.folder, "run.html") + "\n")
        for arguments in ((os.path.join(self.folder, "none.json"),),
                          (source, "-o", os.path.join(self.folder, "none", "x.html"))):
            done = self.report(*arguments)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertIn("none", done.stderr)
        if os.path.exists("/dev/full"):
            done = self.report(source, "-o", "/dev/full")
            self.assertEqual(done.returncode, 3)
            self.assertIn("/dev/full: cannot be written whole", done.stderr)


if __name__ == "__main__":
    unittest.main()
