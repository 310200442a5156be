//! What a run is told to do, as plain data: the words that the command line resolves and that the rooms below it act
//! on. No files are opened here and no flags are known, so that `wire` and `pool` can use it without looking up.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A setting whose values are a few fixed words.
pub trait Choice: Copy + Send + Sync + 'static {
    /// The words, in the order in which a help text lists them.
    const WORDS: &'static [&'static str];
    /// The value that a word stands for.
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

    /// What happens when the code reads an integer that JavaScript can't hold.
    OnUnsafeInteger {
        /// It is told once.
        #[default]
        Warn = "warn",
        /// Its event fails.
        Fail = "fail",
        /// Nothing.
        Ignore = "ignore",
    }

    /// What the verdict line of a failed event says.
    VerdictDetail {
        /// What went wrong.
        #[default]
        Short = "short",
        /// And all that a dead letter says, the event too.
        Full = "full",
    }

    /// What stands in an input.
    InputFormat {
        /// An event on each line.
        #[default]
        Lines = "lines",
        /// One JSON array of events.
        Array = "array",
        /// JSON values one after the other, over as many lines as they like.
        Json = "json",
        /// Chunks: a line with the number of events, then that many lines.
        Chunks = "chunks",
    }

    /// Whether inputs are decompressed.
    Decompress {
        /// Those whose first bytes are those of gzip or zstd.
        #[default]
        Auto = "auto",
        /// None.
        Never = "never",
    }

    /// What happens to a line whose event failed.
    OnError {
        /// It goes to the dead letters; the run goes on.
        #[default]
        DeadLetter = "dead-letter",
        /// It goes out unchanged, in its place; the run goes on.
        Pass = "pass",
        /// It goes to the dead letters, and the run ends after what is in flight.
        Stop = "stop",
    }

    /// Whether something is shown: when it makes sense, in any case, or not at all.
    When {
        /// When the stream is a terminal.
        #[default]
        Auto = "auto",
        /// Also when it is a file or a pipe.
        Always = "always",
        /// Not even on a terminal.
        Never = "never",
    }

    /// How the numbers at the end of a run are written.
    Stats {
        /// One line for people.
        #[default]
        Line = "line",
        /// One JSON object on one line.
        Json = "json",
    }

    /// How the results of tests are written.
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

    /// How much a server tells of itself.
    LogLevel {
        /// What is broken.
        Error = "error",
        /// And what may break.
        Warn = "warn",
        /// And what happened to it, and requests that went wrong.
        #[default]
        Info = "info",
        /// And every request.
        Debug = "debug",
    }

    /// How this program's own messages are written.
    LogFormat {
        /// For people.
        #[default]
        Text = "text",
        /// One JSON object per message.
        Json = "json",
    }
}

impl Emit {
    /// Whether each input line has a verdict line.
    pub fn has_verdicts(self) -> bool {
        matches!(self, Self::Verdicts | Self::Framed)
    }
}

/// What of a line is the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum LineFormat {
    /// All of it.
    #[default]
    Event,
    /// `{"message": EVENT, "metadata": {…}}`.
    Envelope,
    /// An object with this field; what it holds, as JSON or as a string of JSON, is the event.
    Field(String),
}

/// Where lines are read from.
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

/// Where something that is not data goes: dead letters, and what the author's code logs. Never standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// It is not written.
    Nowhere,
    /// Standard error, `-`.
    Stderr,
    /// A temporary file that stays, made when there is something to write.
    Temporary,
    /// A file.
    File(PathBuf),
}
