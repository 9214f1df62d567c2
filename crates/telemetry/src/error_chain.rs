//! Errors as one line of text.

use std::error::Error;

/// An error with its causes on one line, the outermost first, separated by colons.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        // Messages of compilers and interpreters end with a line of their own.
        text.push_str(cause.to_string().trim());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn causes_follow_on_the_same_line() {
        let innermost = Layer("no such file\n", None);
        let error = Layer("not read", Some(Box::new(Layer("cell.toml", Some(Box::new(innermost))))));
        assert_eq!(error_chain(&error), "not read: cell.toml: no such file");
    }
}
