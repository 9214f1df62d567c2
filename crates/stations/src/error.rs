//! Errors of histories, place lists and feeds, each with its evidence.

/// Reason why input from outside is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A table lacks a column.
    #[error("{what} has no column `{column}`; its header reads: {header}")]
    Column {
        /// Which table.
        what: &'static str,
        /// The column's name.
        column: &'static str,
        /// What stands there instead.
        header: String,
    },
    /// A table has a column that counts more than once.
    #[error(
        "{what} has {count} columns `{column}`, which may differ: keep the one that counts, or rename the others"
    )]
    Twice {
        /// Which table.
        what: &'static str,
        /// The column's name.
        column: String,
        /// How many have it.
        count: usize,
    },
    /// A row cannot be read.
    #[error("{what}, line {line}: {problem}: `{value}`")]
    Row {
        /// Which table.
        what: &'static str,
        /// Its line, from 1 with the header.
        line: u64,
        /// What is wrong.
        problem: &'static str,
        /// The value, cut to 80 characters.
        value: String,
    },
    /// A table is no CSV.
    #[error("{what} cannot be read as CSV")]
    Csv {
        /// Which table.
        what: &'static str,
        /// What the reader says.
        source: csv::Error,
    },
    /// A feed is no JSON of its kind.
    #[error("{what} is not what its standard says")]
    Json {
        /// Which feed.
        what: &'static str,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// A document is no XML that is read.
    #[error("{what} is no XML that is read: {problem}")]
    Xml {
        /// Which document.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An answer that says it is an error: correct what was asked, or tell who answers.
    #[error("{what} is an answer that says it is an error ({said}): nothing in it counts")]
    Refused {
        /// Which document.
        what: &'static str,
        /// Its code and message.
        said: String,
    },
    /// A document of no kind that is read.
    #[error("{what} is not understood: it is {known}")]
    Unknown {
        /// Which document.
        what: &'static str,
        /// What it is not.
        known: &'static str,
    },
    /// A history of which no status says that a plug is free: every forecast from it would be that none ever is.
    #[error(
        "no status of the history means free: it has {words}; say what they mean, for example --meaning '{example}=free'"
    )]
    NothingFree {
        /// Words and how often they occur.
        words: String,
        /// The most frequent word that is not understood, or any.
        example: String,
    },
    /// More of something than we take.
    #[error("{what}: {found}, at most {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much is taken.
        limit: u64,
    },
    /// A history in which nothing can be learnt.
    #[error("the history is too short: {found}; {needed}")]
    TooShort {
        /// What there is.
        found: String,
        /// What is needed.
        needed: &'static str,
    },
    /// A status that means nothing we know, in a mapping.
    #[error("`{given}` is no meaning of a status; one of free, partly-free, busy, out-of-order, unknown")]
    Meaning {
        /// What was given.
        given: String,
    },
    /// A model that does not exist.
    #[error("there is no model `{given}`; one of {known}, or all")]
    NoModel {
        /// What was given.
        given: String,
        /// Which there are.
        known: String,
    },
    /// A file that holds no model that this program can use.
    #[error("this is no model that can be used: {what}")]
    File {
        /// What is wrong, and what to do.
        what: String,
    },
    /// A horizon that the sampling interval cannot resolve.
    #[error(
        "a horizon of {minutes} min cannot be told from now: the history has one status every {step_s} s"
    )]
    Horizon {
        /// The horizon.
        minutes: u32,
        /// The sampling interval in seconds.
        step_s: i64,
    },
}

/// The first 80 characters of a value, for an error.
pub(crate) fn cut(value: &str) -> String {
    value.chars().take(80).collect()
}
