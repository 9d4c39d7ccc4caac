//! Large files to and from the disk, by turns with reqwest: time, processor time and memory, as ratios.
//!
//! Server and client have a core each where there are two. What a virtual machine or another program does to a run only
//! ever makes it longer: the smallest of many runs is compared, and the medians are printed beside it. `bench/beside`
//! has the server and the peer, and is built apart.
//!
//! Fails if a client of ours has 16 MiB resident, or makes more system calls or executes more instructions for a MiB than the
//! table of workloads says. It also fails if one took longer than its share of the peer's time, wall or processor. While it
//! did, there are more rounds, up to five times as many and for five minutes: where a machine's time is others' too, a few
//! runs of either can all be unlucky, many cannot. What is only a little beyond its share may be let pass so.
//!
//! With `--quick` only the long path is judged by its time, most of which is waiting: what the same two programs take, one as
//! a share of the other, is another on another machine.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use urlsession_bench::counts::{Counter, within};
use urlsession_bench::loads::{die, or_die};
use urlsession_bench::remote::again;

/// A kind of transfer, how long it may take as a share of the peer's time, and what a MiB of it may cost.
struct Workload {
    name: &'static str,
    says: &'static str,
    server: &'static str,
    is_download: bool,
    http: &'static str,
    bar: f64,
    calls: f64,
    /// Where nothing is encrypted: less than to copy the body costs, whatever the machine copies with.
    instructions: Option<f64>,
}

#[rustfmt::skip]
const WORKLOADS: [Workload; 6] = [
    Workload { name: "W5a", says: "download, HTTP/1.1", server: "h1", is_download: true, http: "1", bar: 0.85, calls: 48.0, instructions: Some(20_000.0) },
    Workload { name: "W5b", says: "download, HTTP/2 in TLS", server: "tls-h2", is_download: true, http: "2", bar: 0.7, calls: 30.0, instructions: None },
    Workload { name: "W5c", says: "download, HTTP/1.1 in TLS", server: "tls-h1", is_download: true, http: "1", bar: 0.65, calls: 36.0, instructions: None },
    Workload { name: "W5l", says: "64 MiB, HTTP/2, 20 ms away", server: "far-h2", is_download: true, http: "2", bar: 0.4, calls: f64::MAX, instructions: None },
    Workload { name: "W6a", says: "upload, HTTP/1.1", server: "h1", is_download: false, http: "1", bar: 0.5, calls: 14.0, instructions: Some(20_000.0) },
    Workload { name: "W6b", says: "upload, HTTP/2 in TLS", server: "tls-h2", is_download: false, http: "2", bar: 0.85, calls: 27.0, instructions: None },
];

pub(super) fn main(arguments: &[String]) -> ExitCode {
    let plan = or_die(Plan::parse(arguments.iter().cloned()), "bulk");
    let beside = Beside::start();
    let upload = plan.folder.join("bulk-upload.bin");
    let file = or_die(File::create(&upload), "the file to upload");
    or_die(file.set_len(plan.mib << 20), "the file to upload");
    println!(
        "{} MiB, {} times a process; seconds, smallest (median of processes); ours, reqwest's, ratio of the smallest (bar)\n",
        plan.mib, plan.loads
    );
    println!("{:<4} {:>6} {:>38} {:>38} {:>14}", "", "rounds", "wall", "processor", "peak MiB");
    let mut good = true;
    for workload in WORKLOADS.iter().filter(|workload| plan.wants(workload.name)) {
        good &= compare(workload, &plan, &beside, &upload);
    }
    // What is left behind in the temporary directory harms nobody.
    let _ = fs::remove_file(&upload);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(workload: &Workload, plan: &Plan, beside: &Beside, upload: &Path) -> bool {
    let (mut ours, mut theirs) = (Runs::default(), Runs::default());
    let judges_time = !plan.is_quick || workload.is_far();
    let mut rounds = 0;
    let start = Instant::now();
    let may_go_on = |rounds| rounds <= MOST_TIMES * plan.rounds && start.elapsed() < LONGEST;
    let is_met = |ours: &Runs, theirs: &Runs| !judges_time || workload.is_met(ours, theirs, beside.pins);
    while rounds <= plan.rounds || (may_go_on(rounds) && !is_met(&ours, &theirs)) {
        let mut turns = [(true, &mut ours), (false, &mut theirs)];
        if rounds % 2 == 1 {
            turns.reverse();
        }
        for (is_ours, runs) in turns {
            if workload.is_download {
                warm_page_cache(&plan.folder, workload.mib(plan));
            }
            let run = beside.run(workload, is_ours, plan, upload);
            // The first round warms up.
            if rounds > 0 {
                runs.add(run);
            }
        }
        rounds += 1;
    }
    let pair = |ours: &Figures, theirs: &Figures| {
        format!(
            "{:.3} ({:.3}) {:.3} ({:.3}) {:.2} ({:.2})",
            ours.smallest(),
            ours.median(),
            theirs.smallest(),
            theirs.median(),
            ours.smallest() / theirs.smallest(),
            workload.bar
        )
    };
    let (memory, other) = (ours.memory.largest(), theirs.memory.largest());
    let is_met = is_met(&ours, &theirs);
    let verdict = match (judges_time, is_met) {
        (false, _) => "",
        (true, true) => "met: ",
        (true, false) => "NOT met: ",
    };
    println!(
        "{:<4} {:>6} {:>38} {:>38} {memory:>6.1} {other:>6.1}  {verdict}{}",
        workload.name,
        rounds - 1,
        pair(&ours.wall, &theirs.wall),
        pair(&ours.cpu, &theirs.cpu),
        workload.says,
    );
    if memory >= MOST_MIB {
        eprintln!("{}: {memory:.1} MiB resident, of less than {MOST_MIB}", workload.name);
    }
    let mut costs_little = true;
    let counts = [
        // What comes at once, and so what it costs, is the path's where that is long.
        (Counter::SystemCalls, "system calls", (!workload.is_far()).then_some(workload.calls)),
        (Counter::Instructions, "instructions", workload.instructions),
    ];
    for (counter, what, most) in counts {
        let Some(most) = most else { continue };
        let Some(count) = Beside::least(most, || beside.count(workload, plan, upload, counter)) else {
            continue;
        };
        println!("     {count:>15.0} {what} for a MiB (at most {most:.0})");
        if count > most {
            eprintln!("{}: {count:.0} {what} for a MiB, more than {most:.0}", workload.name);
            costs_little = false;
        }
    }
    is_met && costs_little && memory < MOST_MIB
}

impl Workload {
    fn is_far(&self) -> bool {
        self.server == "far-h2"
    }

    fn mode(&self) -> &'static str {
        if self.is_download { "download" } else { "upload" }
    }

    fn mib(&self, plan: &Plan) -> u64 {
        if self.is_far() { 64 } else { plan.mib }
    }

    /// A long path is learned by the first load over it.
    fn loads(&self, plan: &Plan) -> usize {
        if self.is_far() { 1 } else { plan.loads }
    }

    /// Whether ours took no more than their share of theirs. On a long path waiting is most of it, and what waiting costs is
    /// not asked; beside a server on the same core the server is most of it.
    fn is_met(&self, ours: &Runs, theirs: &Runs, has_own_core: bool) -> bool {
        let meets = |ours: &Figures, theirs: &Figures| ours.smallest() <= self.bar * theirs.smallest();
        let (wall, cpu) = (meets(&ours.wall, &theirs.wall), meets(&ours.cpu, &theirs.cpu));
        (wall || !has_own_core && !self.is_far()) && (cpu || self.is_far())
    }
}

/// Pages that were just given back are the machine's already: a virtual machine has to ask its host for others, which
/// takes longer than the transfer.
fn warm_page_cache(folder: &Path, mib: u64) {
    let path = folder.join("bulk-warm.bin");
    let mut file = or_die(File::create(&path), "a file");
    let piece = vec![1; 1 << 20];
    for _ in 0..mib + mib / 6 {
        or_die(file.write_all(&piece), "filling a file");
    }
    or_die(fs::remove_file(&path), "removing a file");
}

/// What is asked for.
struct Plan {
    mib: u64,
    /// Of one process, one after the other over one connection.
    loads: usize,
    rounds: usize,
    only: Option<String>,
    is_quick: bool,
    folder: PathBuf,
}

impl Plan {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self {
            mib: 1024,
            loads: 4,
            rounds: 4,
            only: None,
            is_quick: false,
            folder: std::env::temp_dir(),
        };
        let mut arguments = arguments;
        while let Some(flag) = arguments.next() {
            if flag == "--quick" {
                (plan.mib, plan.loads, plan.rounds, plan.is_quick) = (64, 16, 5, true);
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let number = || value.parse().map_err(|error| format!("{flag} {value}: {error}"));
            match flag.as_str() {
                "--mib" => plan.mib = number()?,
                "--loads" => plan.loads = number()?.clamp(1, 1000) as usize,
                "--rounds" => plan.rounds = number()?.clamp(1, 1000) as usize,
                "--only" => plan.only = Some(value),
                "--dir" => plan.folder = value.into(),
                _ => return Err(format!("{flag}: no such flag")),
            }
        }
        Ok(plan)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|wanted| wanted == name))
    }
}

/// The server in a process of its own, and the programs that are measured.
struct Beside {
    origin: Child,
    ports: HashMap<String, String>,
    programs: PathBuf,
    pins: bool,
}

impl Beside {
    fn start() -> Self {
        let program = or_die(std::env::current_exe(), "the program's own path");
        let programs = program.parent().unwrap_or_else(|| die("the program has no folder")).to_owned();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pins = cores > 1 && Command::new("taskset").arg("-V").stdout(Stdio::null()).status().is_ok();
        let mut command = pinned(pins, "0", &Command::new(programs.join("beside-origin")));
        let origin = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut origin = or_die(origin, "starting beside-origin, which bench/beside builds");
        let lines = BufReader::new(origin.stdout.take().unwrap_or_else(|| die("no output"))).lines();
        let mut ports = HashMap::new();
        for line in lines {
            let line = or_die(line, "the origin");
            let (name, value) = line.split_once(' ').unwrap_or_else(|| die("the origin said nothing"));
            ports.insert(name.to_owned(), value.to_owned());
            if name == "ca" {
                break;
            }
        }
        Self { origin, ports, programs, pins }
    }

    /// One process of a client. What it costs to start is not counted.
    fn run(&self, workload: &Workload, is_ours: bool, plan: &Plan, upload: &Path) -> Run {
        let loads = workload.loads(plan);
        let (command, file) = match is_ours {
            true => self.ours(workload, plan, upload, loads),
            false => self.theirs(workload, plan, upload, loads),
        };
        let (text, _) = transfer(&mut pinned(self.pins, "1", &command), workload, &file);
        let numbers: Option<Vec<f64>> = match is_ours {
            true => ["least_wall_s", "least_cpu_s", "peak_rss_kib"]
                .map(|key| of_json(&text, key))
                .into_iter()
                .collect(),
            false => text.split_whitespace().map(|word| word.parse().ok()).collect(),
        };
        match numbers.as_deref() {
            Some(&[wall, cpu, kib]) => Run { wall, cpu, mib: kib / 1024.0 },
            _ => die(&format!("{}: a client said {text:?}", workload.name)),
        }
    }

    /// The first count that is at most `most`, else the least of a few. In how many pieces a body comes is not our doing: it
    /// depends on how the server's turns and ours fall, and where they fall badly each piece costs a turn.
    fn least(most: f64, count: impl Fn() -> Option<f64>) -> Option<f64> {
        let mut least = count()?;
        for _ in 1..COUNTS {
            if least <= most {
                break;
            }
            least = least.min(count()?);
        }
        Some(least)
    }

    /// What a MiB costs our client: the difference of a longer and a shorter run, so that start-up and connecting do not
    /// count. `None` if the counter is not installed.
    fn count(&self, workload: &Workload, plan: &Plan, upload: &Path, counter: Counter) -> Option<f64> {
        if !counter.is_there() {
            println!("     {counter:?} are not counted: what counts them is not installed");
            return None;
        }
        let counted = |loads: usize| {
            let (command, file) = self.ours(workload, plan, upload, loads);
            let mut command = pinned(self.pins, "1", &counter.watch(&command));
            let (_, report) = transfer(&mut command, workload, &file);
            counter.read(&report).unwrap_or_else(|| die(&format!("{counter:?}: no number in {report:?}")))
        };
        let mib = (COUNTED - WARM) as f64 * workload.mib(plan) as f64;
        Some((counted(COUNTED) - counted(WARM)) / mib)
    }

    fn ours(&self, workload: &Workload, plan: &Plan, upload: &Path, loads: usize) -> (Command, PathBuf) {
        let (flag, file) = match workload.is_download {
            true => ("--out", plan.folder.join("bulk-download.bin")),
            false => ("--in", upload.to_owned()),
        };
        let mut command = again("client");
        command.args([
            "--mode",
            workload.mode(),
            "--http",
            workload.http,
            "--url",
            &self.url(workload, plan),
        ]);
        command.args(["--ca", self.of("ca"), "--requests", &loads.to_string(), flag]).arg(&file);
        command.env("TMPDIR", &plan.folder);
        (command, file)
    }

    fn theirs(&self, workload: &Workload, plan: &Plan, upload: &Path, loads: usize) -> (Command, PathBuf) {
        let file = match workload.is_download {
            true => plan.folder.join("bulk-download.bin"),
            false => upload.to_owned(),
        };
        let mut command = Command::new(self.programs.join("beside-reqwest"));
        command.args([workload.mode(), workload.http, &self.url(workload, plan), self.of("ca")]);
        command.arg(&file).arg(loads.to_string());
        (command, file)
    }

    fn url(&self, workload: &Workload, plan: &Plan) -> String {
        let scheme = if workload.server == "h1" { "http" } else { "https" };
        let what = match workload.is_download {
            true => format!("bytes/{}", workload.mib(plan) << 20),
            false => "sink".to_owned(),
        };
        format!("{scheme}://127.0.0.1:{}/{what}", self.of(workload.server))
    }

    /// What the origin said of its servers.
    fn of(&self, name: &str) -> &str {
        self.ports.get(name).unwrap_or_else(|| die("the origin lacks a server"))
    }
}

/// Runs a client; what it wrote to its standard output and error.
fn transfer(command: &mut Command, workload: &Workload, file: &Path) -> (String, String) {
    if workload.is_download {
        // The file of the run before, whose pages are wanted.
        let _ = fs::remove_file(file);
    }
    let output = or_die(command.output(), "starting a client");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        die(&format!("{}: {}", workload.name, text(&output.stderr)));
    }
    if workload.is_download {
        or_die(fs::remove_file(file), "removing what was downloaded");
    }
    (text(&output.stdout), text(&output.stderr))
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.origin.stdin.take());
        let _ = self.origin.wait();
    }
}

fn pinned(pins: bool, core: &str, command: &Command) -> Command {
    let mut program = Command::new(if pins { "taskset" } else { "env" });
    if pins {
        program.args(["-c", core]);
    }
    within(program, command)
}

/// The number of a key in one line of JSON.
fn of_json(line: &str, key: &str) -> Option<f64> {
    let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
    rest.split([',', '}']).next()?.parse().ok()
}

/// One transfer: seconds, seconds of the processor, and what was resident.
struct Run {
    wall: f64,
    cpu: f64,
    mib: f64,
}

#[derive(Default)]
struct Runs {
    wall: Figures,
    cpu: Figures,
    memory: Figures,
}

impl Runs {
    fn add(&mut self, run: Run) {
        self.wall.0.push(run.wall);
        self.cpu.0.push(run.cpu);
        self.memory.0.push(run.mib);
    }
}

#[derive(Default)]
struct Figures(Vec<f64>);

impl Figures {
    fn smallest(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn largest(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Whatever the size of the file.
const MOST_MIB: f64 = 16.0;

/// How often a count is taken that is too high.
const COUNTS: usize = 5;
/// Loads of the run that is counted, and of the one that is taken off.
const COUNTED: usize = 3;
const WARM: usize = 1;

/// Rounds, as a multiple of what was asked for, after which a bar that is not met fails; and how long they may take.
const MOST_TIMES: usize = 5;
const LONGEST: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_ordered() {
        let line = "{\"wall_s\":0.250000,\"peak_rss_kib\":8192}";
        assert_eq!((of_json(line, "wall_s"), of_json(line, "peak_rss_kib")), (Some(0.25), Some(8192.0)));
        assert_eq!(of_json(line, "user_s"), None);
        let figures = Figures(vec![3.0, 1.0, 2.0]);
        assert_eq!((figures.smallest(), figures.median(), figures.largest()), (1.0, 2.0, 3.0));
    }

    #[test]
    fn a_bar_is_met_by_wall_and_processor_where_each_counts() {
        let runs = |wall: f64, cpu: f64| {
            let mut runs = Runs::default();
            runs.add(Run { wall: 9.0, cpu: 9.0, mib: 1.0 });
            runs.add(Run { wall, cpu, mib: 1.0 });
            runs
        };
        let (near, far) = (&WORKLOADS[0], &WORKLOADS[3]);
        let met =
            |workload: &Workload, wall, cpu, own| workload.is_met(&runs(wall, cpu), &runs(1.0, 1.0), own);
        assert!(met(near, 0.85, 0.85, true) && !met(near, 0.86, 0.8, true) && !met(near, 0.8, 0.86, true));
        assert!(met(near, 2.0, 0.8, false) && !met(near, 2.0, 0.9, false));
        assert!(met(far, 0.4, 2.0, true) && !met(far, 0.41, 0.1, false));
    }

    #[test]
    fn flags_are_read_and_mistakes_are_named() {
        let parse = |line: &str| Plan::parse(line.split_whitespace().map(str::to_owned));
        let plan = parse("--quick --rounds 2 --only W5a,W6b").unwrap();
        assert_eq!((plan.mib, plan.loads, plan.rounds, plan.is_quick), (64, 16, 2, true));
        assert!(plan.wants("W6b") && !plan.wants("W5c"));
        assert!(parse("--mib many").is_err_and(|why| why.contains("--mib many")));
        assert!(parse("--fast 1").is_err_and(|why| why.contains("no such flag")));
    }
}
