//! The settings of a run as plain data: the command line resolves them, and the modules below act on them. This module
//! opens no files and knows no flags, so `wire` and `workers` can use it without depending on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A setting whose values are a few fixed words.
pub trait Choice: Copy + Send + Sync + 'static {
    /// The words, in the order in which a help text lists them.
    const WORDS: &'static [&'static str];
    /// Returns the value for a word; `None` for an unknown word.
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl Choice for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::from_word(text).ok_or_else(|| format!("expected one of {}", Self::WORDS.join(", ")))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    )+};
}

choices! {
    /// What standard output carries.
    Emit {
        /// The events that come out, a line each.
        #[default]
        Events = "events",
        /// One verdict line for each input line, with the events inside.
        Verdicts = "verdicts",
        /// One verdict line for each input line, and behind it the events, a line each.
        Framed = "framed",
    }

    /// What happens when the code reads an integer that JavaScript cannot hold.
    OnUnsafeInteger {
        /// The first read is reported.
        #[default]
        Warn = "warn",
        /// Its event fails.
        Fail = "fail",
        /// Nothing.
        Ignore = "ignore",
    }

    /// The contents of a failed event's verdict line.
    VerdictDetail {
        /// The failure.
        #[default]
        Short = "short",
        /// Everything that a dead letter has, including the event.
        Full = "full",
    }

    /// The format of an input.
    InputFormat {
        /// An event on each line.
        #[default]
        Lines = "lines",
        /// One JSON array of events.
        Array = "array",
        /// JSON values one after the other, each on any number of lines.
        Json = "json",
        /// Chunks: a line with the number of events, then that many lines.
        Chunks = "chunks",
    }

    /// Whether inputs are decompressed.
    Decompress {
        /// Inputs that start like gzip or zstd.
        #[default]
        Auto = "auto",
        /// None.
        Never = "never",
    }

    /// What happens to a line whose event failed.
    OnError {
        /// It goes to the dead letters, and the run continues.
        #[default]
        DeadLetter = "dead-letter",
        /// It is output unchanged, in its place, and the run continues.
        Pass = "pass",
        /// It goes to the dead letters, and the run ends after the lines in flight.
        Stop = "stop",
    }

    /// When something is shown.
    When {
        /// When the stream is a terminal.
        #[default]
        Auto = "auto",
        /// Even if it is a file or a pipe.
        Always = "always",
        /// Never, not even on a terminal.
        Never = "never",
    }

    /// The format of the statistics at the end of a run.
    Stats {
        /// One line for people.
        #[default]
        Line = "line",
        /// One JSON object on one line.
        Json = "json",
    }

    /// The format of test results.
    Reporter {
        /// For people.
        #[default]
        Pretty = "pretty",
        /// One JSON object.
        Json = "json",
        /// JUnit's XML.
        Junit = "junit",
        /// TAP version 14.
        Tap = "tap",
        /// For people, and as annotations that GitHub shows at the lines of a pull request.
        Github = "github",
    }

    /// How much a server logs.
    LogLevel {
        /// Errors.
        Error = "error",
        /// Also warnings.
        Warn = "warn",
        /// Also state changes and failed requests.
        #[default]
        Info = "info",
        /// Also every request.
        Debug = "debug",
    }

    /// The format of this program's own messages.
    LogFormat {
        /// For people.
        #[default]
        Text = "text",
        /// One JSON object per message.
        Json = "json",
    }
}

impl Emit {
    /// Returns whether each input line has a verdict line.
    pub fn has_verdicts(self) -> bool {
        matches!(self, Self::Verdicts | Self::Framed)
    }
}

/// Which part of a line is the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum LineFormat {
    /// All of it.
    #[default]
    Event,
    /// `{"message": EVENT, "metadata": {…}}`.
    Envelope,
    /// An object with this field, which holds the event as JSON or as a string of JSON.
    Field(String),
}

/// The source of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input, `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("standard input"),
            Input::File(path) => path.display().fmt(f),
        }
    }
}

/// Where output other than data goes: dead letters, and logs of the author's code. Never standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing is written.
    Nowhere,
    /// Standard error, `-`.
    Stderr,
    /// A temporary file that is kept; created when there is something to write.
    Temporary,
    /// A file.
    File(PathBuf),
}
