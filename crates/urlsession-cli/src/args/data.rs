//! `-d` and `--data-binary`: one body out of two options, in the order of the command line, which clap's derive
//! does not keep across options.

use clap::error::Error;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// The parts of the request body, in order; they are joined by `&`.
#[derive(Default)]
pub(crate) struct Data(pub(crate) Vec<Datum>);

/// One part: text, or `@` and the name of a file, `-` being standard input.
pub(crate) struct Datum {
    pub(crate) text: String,
    /// Whether a file is taken as it is. Otherwise its line breaks are left out.
    pub(crate) is_binary: bool,
}

impl Args for Data {
    fn augment_args(command: Command) -> Command {
        let part = |id: &'static str| {
            Arg::new(id).long(id).value_name("DATA|@FILE").action(ArgAction::Append).allow_hyphen_values(true)
        };
        command
            .arg(part(PLAIN).short('d').help(
                "Send data, as POST and as a form unless said otherwise; `@-` is standard input (repeatable, \
                 joined by &)",
            ))
            .arg(part(BINARY).help("The same, keeping the line breaks of a file"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }

    fn group_id() -> Option<clap::Id> {
        None
    }
}

impl FromArgMatches for Data {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut parts: Vec<(usize, Datum)> = Vec::new();
        for (id, is_binary) in [(PLAIN, false), (BINARY, true)] {
            let texts = matches.get_many::<String>(id).into_iter().flatten();
            let places = matches.indices_of(id).into_iter().flatten();
            parts.extend(places.zip(texts).map(|(at, text)| (at, Datum { text: text.clone(), is_binary })));
        }
        parts.sort_by_key(|(at, _)| *at);
        Ok(Self(parts.into_iter().map(|(_, part)| part).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const PLAIN: &str = "data";
const BINARY: &str = "data-binary";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};

    #[test]
    fn the_order_of_the_command_line_is_kept_across_options() {
        let line = ["urlsession", "get", "-d", "a", "--data-binary", "b", "-d", "-c", "https://x/"];
        let Ok(Cli { command: Command::Get(args) }) = Cli::try_parse_from(line) else {
            unreachable!("a well-formed command line")
        };
        let parts: Vec<_> = args.data.0.iter().map(|part| (&*part.text, part.is_binary)).collect();
        assert_eq!(parts, [("a", false), ("b", true), ("-c", false)]);
    }
}
