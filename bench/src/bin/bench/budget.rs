//! Holds the cost of a request to `budgets.tsv`: instructions under callgrind, and what is asked of the allocator.
//!
//! Both are differences between runs of two lengths, so that neither start-up nor the connection counts. They are
//! the same on a busy machine as on an idle one, which times are not.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use urlsession::Url;
use urlsession_bench::counting::Allocated;
use urlsession_bench::counts::Counter;
use urlsession_bench::loads::{Loads, die, or_die};
use urlsession_bench::options::Options;
use urlsession_bench::remote::{Remote, again};
use urlsession_testkit::Wire;

/// Loads of the same kind, and how they are made.
struct Workload {
    name: &'static str,
    says: &'static str,
    wire: Wire,
    concurrency: usize,
}

const WORKLOADS: [Workload; 3] = [
    Workload { name: "W1", says: "HTTP/1.1, one after the other", wire: Wire::H1, concurrency: 1 },
    Workload {
        name: "W2a",
        says: "HTTP/1.1, 64 at a time over 6 connections",
        wire: Wire::H1,
        concurrency: 64,
    },
    Workload { name: "W3", says: "HTTP/2 in TLS, 64 at a time", wire: Wire::TlsH2, concurrency: 64 },
];

/// What one request costs, or may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    /// `None` without valgrind.
    instructions: Option<f64>,
    allocations: f64,
    bytes: f64,
}

pub(super) fn main(arguments: &[String]) -> ExitCode {
    if let [what, workload, url, ca] = arguments {
        let workload = WORKLOADS.iter().find(|known| known.name == *workload);
        let workload = workload.unwrap_or_else(|| die("no such workload"));
        let loads = loads(workload, or_die(Url::parse(url), "the URL"), ca.into());
        match what.strip_prefix("run=").map(str::parse) {
            Some(Ok(count)) => _ = loads.run(count),
            _ => print_allocated(&loads),
        }
        return ExitCode::SUCCESS;
    }
    check()
}

fn check() -> ExitCode {
    let budgets = or_die(parse(include_str!("../../../budgets.tsv")), "budgets.tsv");
    let has_valgrind = Counter::Instructions.is_there();
    if !has_valgrind {
        println!("valgrind is not installed: instructions are not checked, allocations are");
    }
    println!("{:<5} {:>21} {:>19} {:>15}", "", "instructions (budget)", "allocations", "bytes");
    let mut complaints = Vec::new();
    for workload in &WORKLOADS {
        let budget = budgets.iter().find(|(name, _)| name == workload.name);
        let Some((_, budget)) = budget else {
            die(&format!("budgets.tsv says nothing of {}", workload.name))
        };
        let cost = measure(workload, has_valgrind);
        let instructions = cost.instructions.map_or("-".into(), |count| format!("{count:.0}"));
        println!(
            "{:<5} {instructions:>12} ({:>6.0}) {:>10.1} ({:>6.1}) {:>8.0} ({:>6.0})  {}",
            workload.name,
            budget.instructions.unwrap_or_default(),
            cost.allocations,
            budget.allocations,
            cost.bytes,
            budget.bytes,
            workload.says,
        );
        complaints.extend(compare(&cost, budget).into_iter().map(|why| format!("{}: {why}", workload.name)));
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn loads(workload: &Workload, url: Url, ca: PathBuf) -> Loads {
    let mut options = Options::get(url);
    options.concurrency = workload.concurrency;
    options.connections = 6;
    options.http = if workload.wire == Wire::TlsH2 { 2 } else { 1 };
    options.ca = Some(ca);
    or_die(Loads::new(options), workload.name)
}

fn measure(workload: &Workload, has_valgrind: bool) -> Cost {
    let origin = Remote::start(workload.wire);
    let url = origin.body_url(1024);
    let run = |mut command: Command, what: &str| {
        let output = command.arg(what).args([workload.name, url.as_str()]).arg(origin.ca()).output();
        let output = or_die(output, "starting a run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            die(&format!("{} {what}: {}\n{}", workload.name, output.status, text(&output.stderr)));
        }
        (text(&output.stdout), text(&output.stderr))
    };
    let (allocated, _) = run(again("budget"), "allocated");
    let numbers: Vec<f64> = allocated.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [allocations, bytes] = numbers[..] else { die("the counting run said nothing") };
    let instructions = has_valgrind.then(|| {
        let collected = |count: usize| {
            let valgrind = Counter::Instructions.watch(&again("budget"));
            let (_, report) = run(valgrind, &format!("run={count}"));
            Counter::Instructions.read(&report).unwrap_or_else(|| die("callgrind said no number"))
        };
        (collected(LONG) - collected(SHORT)) / (LONG - SHORT) as f64
    });
    Cost { instructions, allocations, bytes }
}

/// Prints allocations and bytes of one load.
fn print_allocated(loads: &Loads) {
    let (short, long) = loads.runtime().block_on(async {
        loads.run_async(SHORT).await;
        let start = Allocated::now();
        loads.run_async(SHORT).await;
        let middle = Allocated::now();
        loads.run_async(LONG).await;
        (middle.since(start), Allocated::now().since(middle))
    });
    let per_load = |short: u64, long: u64| (long as f64 - short as f64) / (LONG - SHORT) as f64;
    println!("{} {}", per_load(short.calls, long.calls), per_load(short.bytes, long.bytes));
}

/// What is wrong with a cost, in sentences.
fn compare(cost: &Cost, budget: &Cost) -> Vec<String> {
    let mut wrong = Vec::new();
    if let (Some(count), Some(most)) = (cost.instructions, budget.instructions) {
        if count > most * (1.0 + TOLERANCE) {
            let over = (count / most - 1.0) * 100.0;
            wrong
                .push(format!("{count:.0} instructions a request, {over:.1} % over its budget of {most:.0}"));
        } else if count < most * (1.0 - TOLERANCE) {
            println!("      {count:.0} instructions is well below the budget: lower it in budgets.tsv");
        }
    }
    let (count, most) = (cost.allocations, budget.allocations);
    if count > most + SPARE_ALLOCATIONS {
        wrong.push(format!("{count:.1} allocations a request, more than its budget of {most:.1}"));
    }
    let (count, most) = (cost.bytes, budget.bytes);
    if count > most * (1.0 + SPARE_BYTES) {
        wrong.push(format!("{count:.0} bytes allocated a request, more than its budget of {most:.0}"));
    }
    wrong
}

/// Lines of workload, instructions, allocations and bytes, apart by white space; `#` begins a comment.
fn parse(text: &str) -> Result<Vec<(String, Cost)>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        let (instructions, allocations, bytes) = (Some(number()?), number()?, number()?);
        words.next().is_none().then_some((name, Cost { instructions, allocations, bytes }))
    };
    lines.map(|text| line(text).ok_or_else(|| format!("this line is not understood: {text}"))).collect()
}

/// Callgrind's counts move by less than this from run to run, and from one compiler to the next.
const TOLERANCE: f64 = 0.03;

/// Wake-ups that happen to coincide change the number of allocations by less than this.
const SPARE_ALLOCATIONS: f64 = 0.2;

/// The sizes of TLS records and frames depend on what the origin has ready, and buffers on those.
const SPARE_BYTES: f64 = 0.2;

/// Requests of the shorter and of the longer run.
const SHORT: usize = 640;
const LONG: usize = 3840;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read() {
        let known = parse("# comment\nW1\t20000\t12\t5000\n\n").unwrap();
        let cost = Cost { instructions: Some(20000.0), allocations: 12.0, bytes: 5000.0 };
        assert_eq!(known, [("W1".to_owned(), cost)]);
        assert!(parse("W1 1 2").is_err() && parse("W1 1 2 3 4").is_err() && parse("W1 1 x 3").is_err());
        assert_eq!(parse(include_str!("../../../budgets.tsv")).unwrap().len(), WORKLOADS.len());
    }

    #[test]
    fn a_regression_is_named_and_an_unmeasured_count_is_none() {
        let budget = Cost { instructions: Some(20000.0), allocations: 12.0, bytes: 5000.0 };
        let cost = |instructions, allocations| Cost { instructions, allocations, bytes: 5000.0 };
        assert!(compare(&cost(Some(20500.0), 12.1), &budget).is_empty());
        assert!(compare(&cost(None, 12.0), &budget).is_empty());
        assert!(compare(&cost(Some(21000.0), 12.0), &budget)[0].contains("5.0 % over"));
        assert!(compare(&cost(None, 12.3), &budget)[0].contains("allocations"));
    }
}
