//! Result of parsing a line, in whichever format of text.

use crate::can::Frame;

/// Parsed line of a log, of any format.
pub(super) enum Parsed {
    /// A frame.
    Frame(Frame),
    /// Head, tail or an empty line of the format.
    Nothing,
    /// No frame, and why.
    Skip(&'static str),
}
