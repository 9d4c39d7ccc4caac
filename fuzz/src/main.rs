//! Feeds every grammar of `urlsession-proto` damaged input for a while: see the README beside it.

mod coded;
mod damage;
mod grammars;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use self::damage::Random;
use self::grammars::{GRAMMARS, Grammar};

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!(
                "{why}\nusage: urlsession-fuzz [--seconds N] [--seed N] [--only a,b] [--except a,b] [--replay HEX]"
            );
            return ExitCode::from(2);
        }
    };
    println!("seed {}, {} s a grammar", options.seed, options.budget.as_secs());
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(grammar) = options.grammars.get(next.fetch_add(1, Relaxed)) {
                    if let Err(failure) = run(grammar, &options) {
                        has_failed.store(true, Relaxed);
                        println!("{failure}");
                    }
                }
            });
        }
    });
    if has_failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

struct Options {
    seed: u64,
    budget: Duration,
    grammars: Vec<&'static Grammar>,
    replay: Option<Vec<u8>>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut options = Self {
            seed: now.as_secs(),
            budget: Duration::from_secs(10),
            grammars: GRAMMARS.iter().collect(),
            replay: None,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse().map_err(|error| format!("{name} {value}: {error}"));
            match &*name {
                "--seconds" => options.budget = Duration::from_secs(number()?),
                "--seed" => options.seed = number()?,
                "--only" | "--except" => {
                    let names = value.split(',').collect::<Vec<_>>();
                    if let Some(name) = names.iter().find(|name| GRAMMARS.iter().all(|g| g.name != **name)) {
                        return Err(format!("there is no grammar {name}"));
                    }
                    options.grammars.retain(|grammar| names.contains(&grammar.name) == (name == "--only"));
                }
                "--replay" => options.replay = Some(from_hex(&value).ok_or("--replay takes hex")?),
                _ => return Err(format!("{name} is not known")),
            }
        }
        Ok(options)
    }
}

fn run(grammar: &Grammar, options: &Options) -> Result<(), String> {
    if let Some(input) = &options.replay {
        return look(grammar, input).map(|_| println!("{:<16} reads it", grammar.name));
    }
    let mut random = Random::new(options.seed, grammar.name);
    let mut corpus: Vec<Vec<u8>> = grammar.corpus.iter().map(|input| input.to_vec()).collect();
    let mut answers = HashSet::new();
    let (start, mut runs) = (Instant::now(), 0_u64);
    while start.elapsed() < options.budget {
        // The clock is looked at now and then only.
        for _ in 0..64 {
            // The first are whole: what is valid must be read, too.
            let input = match corpus.get(runs as usize) {
                Some(valid) if (runs as usize) < grammar.corpus.len() => valid.clone(),
                _ => random.damaged(&corpus),
            };
            let answer = look(grammar, &input)
                .map_err(|what| format!("{what}\n  seed {}, run {runs}", options.seed))?;
            if corpus.len() < MOST_IN_CORPUS && answers.insert(answer) {
                corpus.push(input);
            }
            runs += 1;
        }
    }
    println!("{:<16} {runs:>12} runs, {:>4} answers that differ", grammar.name, answers.len());
    Ok(())
}

/// Reads one input. What is wrong about the answer, with the input in hex; else the shape of the answer.
fn look(grammar: &Grammar, input: &[u8]) -> Result<u64, String> {
    let start = Instant::now();
    let failed = |what: String| {
        let hex = input.iter().map(|b| format!("{b:02x}")).collect::<String>();
        format!("{}: {what}\n  --only {} --replay {hex}", grammar.name, grammar.name)
    };
    let told = catch_unwind(|| (grammar.read)(input)).map_err(|_| failed("it panicked".into()))?;
    // Most grammars read text: what is not UTF-8 has grown before they see it.
    let given = String::from_utf8_lossy(input).len();
    if told.bytes > given * grammar.growth + ALLOWANCE {
        return Err(failed(format!("{given} bytes became {}", told.bytes)));
    }
    if start.elapsed() > LONGEST {
        return Err(failed(format!("it took {} ms", start.elapsed().as_millis())));
    }
    Ok(told.shape)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>()?;
    digits.chunks(2).map(|pair| Some((pair[0] * 16 + pair.get(1)?) as u8)).collect()
}

const MOST_IN_CORPUS: usize = 1024;
/// What may come out whatever goes in: default values, fixed fields.
const ALLOWANCE: usize = 1024;
/// A busy machine may hold a thread up, but not for that long; no input is longer than 64 KiB.
const LONGEST: Duration = Duration::from_secs(5);
