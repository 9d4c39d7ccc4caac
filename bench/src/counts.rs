//! What a program costs that is the same on a busy machine as on an idle one, and nearly so from one machine to the next:
//! instructions and system calls.

use std::process::Command;

/// A program that counts what another does.
#[derive(Clone, Copy, Debug)]
pub enum Counter {
    /// valgrind's callgrind: instructions outside the kernel.
    Instructions,
    /// strace: system calls of all threads.
    SystemCalls,
}

impl Counter {
    /// True if its program is installed.
    pub fn is_there(self) -> bool {
        Command::new(self.program()).arg("--version").output().is_ok()
    }

    /// The command, counted. What was counted is written to its standard error.
    #[must_use]
    pub fn watch(self, command: &Command) -> Command {
        let mut counted = Command::new(self.program());
        match self {
            Self::Instructions => counted.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]),
            Self::SystemCalls => {
                counted.args(["--follow-forks", "--summary-only", "--summary-columns=calls,name"])
            }
        };
        within(counted, command)
    }

    /// The number in what was written to standard error.
    pub fn read(self, report: &str) -> Option<f64> {
        let number = |line: &str| match self {
            // ==1== Collected : 1234
            Self::Instructions => line.split_once("Collected :")?.1.trim().parse().ok(),
            // 1234 total
            Self::SystemCalls => line.trim().strip_suffix("total")?.trim().parse().ok(),
        };
        report.lines().find_map(number)
    }

    fn program(self) -> &'static str {
        match self {
            Self::Instructions => "valgrind",
            Self::SystemCalls => "strace",
        }
    }
}

/// A program that starts the command it has as its last arguments, with that command.
#[must_use]
pub fn within(mut program: Command, command: &Command) -> Command {
    program.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => program.env(name, value),
            None => program.env_remove(name),
        };
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        let callgrind = "==1== Events    : Ir\n==1== Collected : 1234\n";
        assert_eq!(Counter::Instructions.read(callgrind), Some(1234.0));
        let strace = "    calls syscall\n--------- ----------------\n      146 futex\n     3000 preadv2\n--------- ---\n     3146 total\n";
        assert_eq!(Counter::SystemCalls.read(strace), Some(3146.0));
        assert_eq!(Counter::SystemCalls.read(callgrind), None);
    }

    #[test]
    fn a_counted_command_has_the_arguments_and_the_environment_of_its_own() {
        let mut command = Command::new("program");
        command.arg("--flag").env("TMPDIR", "/folder");
        let counted = Counter::SystemCalls.watch(&command);
        assert_eq!(counted.get_args().skip(3).collect::<Vec<_>>(), ["program", "--flag"]);
        assert_eq!(counted.get_envs().collect::<Vec<_>>(), command.get_envs().collect::<Vec<_>>());
    }
}
