// SPDX-License-Identifier: MIT

//! Commands on standard input, answers on standard output.

use crate::steps::{Job, Outcome, verify};
use crate::system::resident;
use crate::trace::Trace;
use crate::{About, Bytes, Shape, Table, U64};
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

const EXIT_USAGE: i32 = 2;
const EXIT_ENVIRONMENT: i32 = 3;
const MOST_THREADS: usize = 4096;
const MOST_SECONDS: f64 = 3600.0;
const MOST_OFFSET: usize = 1 << 62;

/// Each command, the options it must have, and those it may have.
const COMMANDS: [(&str, &[&str], &[&str]); 7] = [
    ("hello", &[], &[]),
    ("verify", &[], &[]),
    ("prefill", &["threads"], &[]),
    ("run", &["threads", "seconds"], &["offset", "latency"]),
    ("once", &["threads"], &["latency"]),
    ("clear", &[], &[]),
    ("quit", &[], &[]),
];

#[derive(Default)]
struct Options {
    threads: usize,
    seconds: f64,
    offset: usize,
    latency: bool,
}

impl Options {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = |allowed: String| format!("{name}={value}, allowed: {allowed}");
        match name {
            "threads" => {
                let threads = value.parse().ok().filter(|n| (1..=MOST_THREADS).contains(n));
                self.threads = threads.ok_or_else(|| wrong(format!("1 to {MOST_THREADS}")))?;
            }
            "seconds" => {
                let seconds = value.parse().ok().filter(|s| *s > 0.0 && *s <= MOST_SECONDS);
                self.seconds =
                    seconds.ok_or_else(|| wrong(format!("above 0 to {MOST_SECONDS}")))?;
            }
            "offset" => {
                let offset = value.parse().ok().filter(|k| *k <= MOST_OFFSET);
                self.offset = offset.ok_or_else(|| wrong("the number of a chunk".into()))?;
            }
            _ => {
                if value != "0" && value != "1" {
                    return Err(wrong("0 and 1".into()));
                }
                self.latency = value == "1";
            }
        }
        Ok(())
    }
}

fn parse(line: &str) -> Result<(&'static str, Options), String> {
    let mut words = line.split_whitespace();
    let first = words.next().ok_or("an empty command")?;
    let Some((name, needed, optional)) = COMMANDS.iter().find(|(name, ..)| *name == first) else {
        let names: Vec<_> = COMMANDS.iter().map(|(name, ..)| *name).collect();
        return Err(format!("unknown command '{first}', allowed: {}", names.join(", ")));
    };
    let allowed = [*needed, *optional].concat();
    let mut options = Options::default();
    let mut given = Vec::new();
    for word in words {
        let (option, value) = word.split_once('=').unwrap_or((word, ""));
        if !allowed.contains(&option) {
            return Err(format!("{name} does not take '{word}', allowed: {}", allowed.join(", ")));
        }
        options.set(option, value)?;
        given.push(option);
    }
    match needed.iter().find(|option| !given.contains(option)) {
        Some(missing) => Err(format!("{name} needs {missing}=N")),
        None => Ok((name, options)),
    }
}

/// Text as a JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json + "\""
}

fn failure(message: &str) -> String {
    format!(r#"{{"error":{}}}"#, quoted(message))
}

/// A trace, and the map that stands between two commands; none stands for an empty one.
struct Session<S: Shape, T: Table<S>> {
    about: &'static About,
    trace: Trace,
    shape: S,
    present: Option<T>,
}

impl<S: Shape, T: Table<S>> Session<S, T> {
    fn hello(&self) -> String {
        let About { id, map, version, control } = self.about;
        let who = format!(r#""peer":"{id}","map":"{map}","language":"rust""#);
        format!(r#"{{{who},"version":"{version}","control":{control}}}"#)
    }

    fn verify(&self) -> String {
        let start = Instant::now();
        let (checksum, entries) = match verify::<S, T>(&self.trace) {
            Ok(found) => found,
            Err(message) => return failure(&message),
        };
        let seconds = start.elapsed().as_secs_f64();
        format!(r#"{{"checksum":"{checksum:016x}","entries":{entries},"seconds":{seconds:.9}}}"#)
    }

    fn prefill(&mut self, options: &Options) -> String {
        self.present = None;
        let before = resident();
        let table = self.present.insert(T::new(self.shape));
        let job = Job {
            chunks: &self.trace.prefill,
            threads: options.threads,
            offset: 0,
            latency: false,
            pause: None,
        };
        let Outcome { counters, seconds, .. } = job.run(table);
        let (ops, entries, after) = (counters.ops, table.entries(), resident());
        let filled = format!(r#""ops":{ops},"seconds":{seconds:.9},"entries":{entries}"#);
        format!(r#"{{{filled},"rss_before":{before},"rss_after":{after}}}"#)
    }

    fn replay(&mut self, options: &Options, pause: Option<Duration>) -> String {
        let chunks = &self.trace.chunks;
        if pause.is_some() && chunks.is_empty() {
            return failure("run: the trace has no operations");
        }
        let table = self.present.get_or_insert_with(|| T::new(self.shape));
        let entries_before = table.entries();
        let Options { threads, offset, latency, .. } = *options;
        let done = Job { chunks, threads, offset, latency, pause }.run(table);
        let (n, seconds, processor_seconds) = (done.counters, done.seconds, done.processor_seconds);
        let entries = table.entries();
        let mut json = format!(
            r#"{{"ops":{},"seconds":{seconds:.9},"cpu_seconds":{processor_seconds:.6}"#,
            n.ops
        );
        json += &format!(
            r#","hits":{},"misses":{},"inserted":{},"removed":{}"#,
            n.hits, n.misses, n.inserted, n.removed
        );
        json +=
            &format!(r#","entries_before":{entries_before},"entries":{entries},"sum":{}"#, n.sum);
        if let Some(h) = done.latency {
            json += &format!(
                r#","latency":{{"samples":{},"p50":{},"p90":{},"p99":{},"p999":{},"max":{}}}"#,
                h.samples,
                h.at(500),
                h.at(900),
                h.at(990),
                h.at(999),
                h.max
            );
        }
        json + "}"
    }

    fn answer(&mut self, command: &str, options: &Options) -> String {
        match command {
            "hello" => self.hello(),
            "verify" => self.verify(),
            "prefill" => self.prefill(options),
            "run" => self.replay(options, Some(Duration::from_secs_f64(options.seconds))),
            "once" => self.replay(options, None),
            _ => {
                self.present = None;
                format!(r#"{{"rss_after":{}}}"#, resident())
            }
        }
    }

    fn serve(&mut self) -> std::io::Result<()> {
        let mut output = std::io::stdout();
        for line in std::io::stdin().lock().lines() {
            let answer = match parse(&line?) {
                Ok(("quit", _)) => return Ok(()),
                Ok((command, options)) => self.answer(command, &options),
                Err(message) => failure(&message),
            };
            writeln!(output, "{answer}")?;
            output.flush()?;
        }
        Ok(())
    }
}

/// Ends the process with one line for people, and the same for the driver.
fn fail(about: &About, code: i32, message: &str) -> ! {
    eprintln!("{}: {message}", about.id);
    println!("{}", failure(message));
    std::process::exit(code)
}

/// The file of `[--map NAME] --trace FILE`.
fn trace_path(about: &About) -> String {
    let usage = || -> ! {
        fail(about, EXIT_USAGE, &format!("usage: {} [--map NAME] --trace FILE", about.id))
    };
    let mut path = None;
    let mut words = std::env::args().skip(1);
    while let Some(option) = words.next() {
        let value = words.next().unwrap_or_else(|| usage());
        match option.as_str() {
            "--trace" => path = Some(value),
            "--map" if value == about.map => {}
            "--map" => {
                let message = format!("unknown map '{value}', allowed: {}", about.map);
                fail(about, EXIT_USAGE, &message)
            }
            _ => usage(),
        }
    }
    path.unwrap_or_else(|| usage())
}

/// The main function of a peer: `A` is its map for shape u64, `B` for shape bytes.
pub fn serve<A: Table<U64>, B: Table<Bytes>>(about: &'static About) {
    let path = trace_path(about);
    let trace = Trace::open(&path).unwrap_or_else(|error| fail(about, EXIT_ENVIRONMENT, &error));
    let served = if trace.bytes {
        let shape = Bytes::new(trace.value_bytes);
        Session::<Bytes, B> { about, trace, shape, present: None }.serve()
    } else {
        Session::<U64, A> { about, trace, shape: U64, present: None }.serve()
    };
    if let Err(error) = served {
        fail(about, EXIT_ENVIRONMENT, &error.to_string());
    }
}
