//! Sections of a BPX file and what stands in them: numbers within a range, and functions of x.

use super::expression::Expression;
use crate::Error;
use serde_json::Value;

/// Most points of a table: the longest published ones have some thousands.
const MAX_POINTS: usize = 100_000;

/// Furthest that a table is continued by its last slope, as a share of its own width. Beyond, it says nothing.
const BEYOND: f64 = 0.02;

/// A section of the file, with the name that messages use.
pub(super) struct Section<'a> {
    pub name: String,
    fields: &'a Value,
}

impl<'a> Section<'a> {
    /// A section that has to be there.
    pub fn of(root: &'a Value, name: &str) -> Result<Self, Error> {
        Self::find(root, name)
            .ok_or_else(|| Error::parameters(format!("there is no section \"{name}\"; add it to the file")))
    }

    /// A section, if it is there.
    pub fn find(root: &'a Value, name: &str) -> Option<Self> {
        let fields = root.get(name).filter(|fields| fields.is_object())?;
        Some(Self { name: name.to_owned(), fields })
    }

    /// The section within this one, under the name of both.
    pub fn within(&self, name: &str) -> Option<Self> {
        Some(Self { name: format!("{}, {name}", self.name), ..Self::find(self.fields, name)? })
    }

    /// Names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields.as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str))
    }

    /// A field, if it is there.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// A number that has to be there, within the range.
    pub fn number(&self, key: &str, range: (f64, f64)) -> Result<f64, Error> {
        self.maybe(key, range)?.ok_or_else(|| {
            Error::parameters(format!("{}: there is no \"{key}\"; add it to the file", self.name))
        })
    }

    /// A number within the range, if it is there. What is there and is none is an error.
    pub fn maybe(&self, key: &str, range: (f64, f64)) -> Result<Option<f64>, Error> {
        let Some(found) = self.get(key) else { return Ok(None) };
        let value = found.as_f64().unwrap_or(f64::NAN);
        if (range.0..=range.1).contains(&value) {
            return Ok(Some(value));
        }
        let shown: String = found.to_string().chars().take(60).collect();
        Err(Error::parameters(format!(
            "{}: \"{key}\" is {shown}, want a number from {} to {}",
            self.name, range.0, range.1
        )))
    }

    /// A function that has to be there.
    pub fn function(&self, key: &str) -> Result<Function, Error> {
        self.function_if(key)?.ok_or_else(|| {
            Error::parameters(format!("{}: there is no \"{key}\"; add it to the file", self.name))
        })
    }

    /// A function, if it is there.
    pub fn function_if(&self, key: &str) -> Result<Option<Function>, Error> {
        let of = |value: &Value| {
            Function::of(value).map_err(|why| Error::parameters(format!("{}: \"{key}\": {why}", self.name)))
        };
        self.get(key).map(of).transpose()
    }
}

/// A constant, an expression in x, or a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Function {
    Constant(f64),
    Expression(Expression),
    /// Points with rising x.
    Table(Vec<(f64, f64)>),
}

impl Function {
    pub fn of(value: &Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => number.as_f64().map(Self::Constant).ok_or("is no number".into()),
            Value::String(text) => Expression::parse(text).map(Self::Expression),
            Value::Object(table) => {
                let column = |key: &str| -> Option<Vec<f64>> {
                    table.get(key)?.as_array()?.iter().map(Value::as_f64).collect()
                };
                let (x, y) = column("x").zip(column("y")).ok_or("a table wants x and y, both of numbers")?;
                if x.len() != y.len() || !(2..=MAX_POINTS).contains(&x.len()) {
                    return Err(format!(
                        "a table wants as many y as x, 2 to {MAX_POINTS}, not {} and {}",
                        y.len(),
                        x.len()
                    ));
                }
                let mut points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
                if points[0].0 > points[1].0 {
                    points.reverse();
                }
                match points.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
                    Some(pair) => {
                        Err(format!("a table wants x that only rises or only falls, not at {}", pair[1].0))
                    }
                    None => Ok(Self::Table(points)),
                }
            }
            _ => Err("want a number, an expression in x, or a table of x and y".into()),
        }
    }

    /// Its value; no number where it has none. A table goes on a little by its last slope.
    pub fn at(&self, x: f64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Expression(expression) => expression.at(x),
            Self::Table(points) => {
                let (first, last) = (points[0].0, points[points.len() - 1].0);
                let beyond = BEYOND * (last - first);
                if !(first - beyond..=last + beyond).contains(&x) {
                    return f64::NAN;
                }
                let above = points.partition_point(|point| point.0 < x).clamp(1, points.len() - 1);
                let ((x0, y0), (x1, y1)) = (points[above - 1], points[above]);
                y0 + (y1 - y0) * (x - x0) / (x1 - x0)
            }
        }
    }

    /// Whether it is zero and nothing else: what writers put where they have no value.
    pub fn is_placeholder(&self) -> bool {
        match self {
            Self::Constant(value) => *value == 0.0,
            Self::Expression(_) => false,
            Self::Table(points) => points.iter().all(|point| point.1 == 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_may_fall_and_end() {
        let rising = Function::of(&json!({"x": [0.0, 0.5, 1.0], "y": [3.0, 2.0, 0.0]})).expect("a table");
        let falling = Function::of(&json!({"x": [1.0, 0.5, 0.0], "y": [0.0, 2.0, 3.0]})).expect("a table");
        assert_eq!(rising, falling);
        for (x, y) in [(0.0, 3.0), (0.25, 2.5), (0.75, 1.0), (1.0, 0.0), (1.01, -0.04)] {
            assert!((rising.at(x) - y).abs() < 1e-12, "{x}");
        }
        assert!(
            rising.at(1.1).is_nan() && rising.at(-0.1).is_nan(),
            "a table says nothing far beyond its end"
        );
    }

    #[test]
    fn what_is_no_function_is_said() {
        for (value, what) in [
            (json!({"x": [0, 1], "y": [1]}), "as many y as x"),
            (json!({"x": [0], "y": [1]}), "2 to"),
            (json!({"x": [0, 2, 1], "y": [1, 1, 1]}), "only rises or only falls"),
            (json!({"x": [0, 0], "y": [1, 1]}), "only rises or only falls"),
            (json!({"x": [0, "a"], "y": [1, 1]}), "of numbers"),
            (json!([1, 2]), "a number, an expression in x, or a table"),
            (json!("x**"), "too early"),
        ] {
            let error = Function::of(&value).expect_err(what);
            assert!(error.contains(what), "{value}: {error}");
        }
    }
}
