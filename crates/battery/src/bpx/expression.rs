//! Expressions in x, read and computed as Python reads and computes them: BPX files are made by Python, and a precedence
//! that differs by one rule makes another curve.
//!
//! Grammar (Python 3 reference, 6.17): sums of products of factors; a sign binds weaker than a power on its right, so
//! -x**2 is -(x**2); powers are right-associative, and their exponent may have a sign.

/// Longest expression that is read, in bytes.
const MAX_BYTES: usize = 16 << 10;

/// Deepest nesting of brackets, signs and powers: each level is a stack frame of parsing and of computing.
const MAX_DEPTH: usize = 64;

type Real = fn(f64) -> f64;

/// Functions of one argument, by their names in Python's `math`.
const FUNCTIONS: [(&str, Real); 14] = [
    ("exp", f64::exp),
    ("log", f64::ln),
    ("log10", f64::log10),
    ("sqrt", f64::sqrt),
    ("abs", f64::abs),
    ("fabs", f64::abs),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("sinh", f64::sinh),
    ("cosh", f64::cosh),
    ("tanh", f64::tanh),
    ("asinh", f64::asinh),
    ("atan", f64::atan),
];

/// An expression that was read: operations in the order of computing, operands before operators, so that neither
/// computing nor dropping it recurses.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression(Vec<Operation>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Number(f64),
    X,
    Negate,
    Call(usize),
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Expression {
    /// Reads a text; says what is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("an expression of {} bytes, at most {MAX_BYTES} are read", text.len()));
        }
        let mut parser = Parser { text, at: 0, operations: Vec::new() };
        parser.sum(0)?;
        match parser.peek() {
            None => Ok(Self(parser.operations)),
            Some(found) => Err(parser.wrong(&unexpected(found))),
        }
    }

    /// Its value; no number where Python raises an error or leaves the real numbers.
    pub fn at(&self, x: f64) -> f64 {
        let mut stack: Vec<f64> = Vec::with_capacity(8);
        // The parser puts operands before operators; a missing one would be no number.
        let pop = |stack: &mut Vec<f64>| stack.pop().unwrap_or(f64::NAN);
        for operation in &self.0 {
            let value = match operation {
                Operation::Number(value) => *value,
                Operation::X => x,
                Operation::Negate => -pop(&mut stack),
                Operation::Call(function) => FUNCTIONS[*function].1(pop(&mut stack)),
                binary => {
                    let right = pop(&mut stack);
                    let left = pop(&mut stack);
                    match binary {
                        Operation::Add => left + right,
                        Operation::Subtract => left - right,
                        Operation::Multiply => left * right,
                        // Python raises ZeroDivisionError here and for 0 ** -1.
                        Operation::Divide if right == 0.0 => f64::NAN,
                        Operation::Divide => left / right,
                        _ if left == 0.0 && right < 0.0 => f64::NAN,
                        _ => left.powf(right),
                    }
                }
            };
            stack.push(value);
        }
        pop(&mut stack)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    operations: Vec<Operation>,
}

fn unexpected(found: char) -> String {
    match found {
        '^' => "`^` is exclusive or in Python: write `**` for a power".to_owned(),
        '%' => "`%` is not known: write a sum, product or power".to_owned(),
        _ => format!("`{found}` is not expected"),
    }
}

impl Parser<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("{what} (at character {} of {:?})", self.at + 1, self.text)
    }

    fn rest(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn peek(&mut self) -> Option<char> {
        self.rest().chars().next()
    }

    fn takes(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn deeper(&self, depth: usize) -> Result<usize, String> {
        if depth < MAX_DEPTH {
            return Ok(depth + 1);
        }
        Err(self.wrong(&format!("brackets, signs or powers are nested deeper than {MAX_DEPTH}")))
    }

    fn sum(&mut self, depth: usize) -> Result<(), String> {
        self.product(depth)?;
        loop {
            let operation = if self.takes("+") {
                Operation::Add
            } else if self.takes("-") {
                Operation::Subtract
            } else {
                return Ok(());
            };
            self.product(depth)?;
            self.operations.push(operation);
        }
    }

    fn product(&mut self, depth: usize) -> Result<(), String> {
        self.factor(depth)?;
        loop {
            if self.rest().starts_with("//") {
                return Err(self.wrong("`//` is not known: write `/`"));
            }
            let operation = if self.takes("*") {
                Operation::Multiply
            } else if self.takes("/") {
                Operation::Divide
            } else {
                return Ok(());
            };
            self.factor(depth)?;
            self.operations.push(operation);
        }
    }

    fn factor(&mut self, depth: usize) -> Result<(), String> {
        let depth = self.deeper(depth)?;
        if self.takes("-") {
            self.factor(depth)?;
            self.operations.push(Operation::Negate);
            return Ok(());
        }
        if self.takes("+") {
            return self.factor(depth);
        }
        self.atom(depth)?;
        if self.takes("**") {
            self.factor(depth)?;
            self.operations.push(Operation::Power);
        }
        Ok(())
    }

    fn atom(&mut self, depth: usize) -> Result<(), String> {
        match self.peek() {
            None => Err(self.wrong("the expression ends too early")),
            Some('(') => {
                self.at += 1;
                self.sum(depth)?;
                self.close()
            }
            Some(first) if first.is_ascii_digit() || first == '.' => self.number(),
            Some(first) if first.is_ascii_alphabetic() || first == '_' => self.name(depth),
            Some(other) => Err(self.wrong(&unexpected(other))),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        if self.takes(")") {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "`)` is missing".to_owned(), unexpected);
        Err(self.wrong(&found))
    }

    fn number(&mut self) -> Result<(), String> {
        let bytes = self.text.as_bytes();
        let digits = |mut end: usize| {
            while bytes.get(end).is_some_and(u8::is_ascii_digit) {
                end += 1;
            }
            end
        };
        let mut end = digits(self.at);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if bytes.get(end).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'e')) {
            let sign = usize::from(bytes.get(end + 1).is_some_and(|byte| matches!(byte, b'+' | b'-')));
            let after = digits(end + 1 + sign);
            end = if after > end + 1 + sign { after } else { end };
        }
        let text = &self.text[self.at..end];
        // What follows at once belongs to it: 1_000, 3j and 2x are other things in Python, or errors.
        let ends =
            bytes.get(end).is_none_or(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')));
        match text.parse() {
            Ok(value) if ends => {
                self.at = end;
                self.operations.push(Operation::Number(value));
                Ok(())
            }
            _ => Err(self.wrong("this is not a number")),
        }
    }

    fn name(&mut self, depth: usize) -> Result<(), String> {
        let rest = self.rest();
        let name: String = rest
            .chars()
            .take_while(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '.'))
            .collect();
        let plain = ["math.", "np.", "numpy."].iter().find_map(|module| name.strip_prefix(module));
        let plain = plain.unwrap_or(&name).to_owned();
        let function = FUNCTIONS.iter().position(|(known, _)| *known == plain);
        let before = self.at;
        self.at += name.len();
        match (plain.as_str(), function) {
            (_, Some(function)) if self.takes("(") => {
                self.sum(depth)?;
                self.close()?;
                self.operations.push(Operation::Call(function));
            }
            ("x", None) => self.operations.push(Operation::X),
            ("pi", None) => self.operations.push(Operation::Number(std::f64::consts::PI)),
            (_, function) => {
                self.at = before;
                let known = FUNCTIONS.map(|(known, _)| known).join(", ");
                return Err(self.wrong(&match function {
                    Some(_) => format!("`{name}` wants its argument in brackets"),
                    None => format!("`{name}` is not known: an expression speaks of x only, and of {known}"),
                }));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values at x = 0.3 by Python 3.13.
    #[test]
    fn values_are_pythons() {
        for (text, expected) in [
            ("-x**2", -0.09),
            ("(-x)**2", 0.09),
            ("2 - -x ** 2", 2.09),
            ("2**3**2", 512.0),
            ("2**-1", 0.5),
            ("2**-x**2", 0.939_522_749_214_011_8),
            ("-2**-2", -0.25),
            ("exp(-x**2 / 0.02)", 0.011_108_996_538_242_306),
            ("1 - -1", 2.0),
            ("- - x", 0.3),
            ("8/4/2", 1.0),
            ("8-4-2", 2.0),
            ("2*x**2 - 1e-1", 0.08),
            ("+.5e1*x", 1.5),
            ("tanh(10.*(x-0.5)) * cosh( 0 )", -0.964_027_580_075_816_9),
            ("4.1E+00 - 11 * tanh(-9.3 * (x - 0.79))", -6.897_577_772_370_006),
            ("x**0.5 + sqrt(x) + abs(-x) + np.log(x) + math.exp(x)", 1.541_331_118_260_399_3),
            ("3", 3.0),
        ] {
            let value = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).at(0.3);
            assert!((value - expected).abs() < 1e-12, "{text}: {value}, Python has {expected}");
        }
        for text in ["1 / (x - 0.3)", "(x - 0.3)**-1", "(-x)**0.5", "log(-x)"] {
            assert!(Expression::parse(text).expect(text).at(0.3).is_nan(), "{text} has no value");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_place() {
        for (text, what) in [
            ("4 - q", "`q` is not known"),
            ("x^2", "exclusive or"),
            ("4 - * (", "`*` is not expected"),
            ("exp x", "in brackets"),
            ("(x", "`)` is missing"),
            ("x +", "too early"),
            ("", "too early"),
            ("2x", "not a number"),
            ("1_000", "not a number"),
            ("1.2.3", "not a number"),
            ("7 // 2", "`//`"),
            ("7 % 2", "`%`"),
            ("exp(x, 2)", "`,` is not expected"),
            ("x if x > 1 else 2", "`i` is not expected"),
            ("é", "is not expected"),
        ] {
            let error = Expression::parse(text).expect_err(text);
            assert!(error.contains(what) && error.contains("at character"), "{text}: {error}");
        }
        let deep = format!("{}x{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(deep.len() > MAX_BYTES || Expression::parse(&deep).expect_err("deep").contains("nested"));
        assert!(Expression::parse(&"-".repeat(1_000)).expect_err("deep").contains("nested"));
        assert!(Expression::parse(&format!("{}x", "1+".repeat(9_000))).expect_err("long").contains("bytes"));
        // A long sum is no nesting.
        let sum = format!("{}x", "1+".repeat(8_000));
        assert_eq!(Expression::parse(&sum).expect("a sum").at(0.5), 8_000.5);
    }
}
