//! Dates in the midst of texts.

use super::{Order, date};

/// Dates that a text can be, with the day or the month first.
pub fn either(text: &[u8]) -> Option<Vec<i64>> {
    let orders = [Order::DayFirst, Order::MonthFirst].into_iter();
    let dates: Vec<i64> = orders.filter_map(|order| Some(date(text, Some(order))?.wall_ns)).collect();
    (!dates.is_empty()).then_some(dates)
}

/// Dates in digits that stand in a text, as in `Export of 16.05.2023` and `trip_20230516.csv`.
pub fn dates(text: &[u8]) -> Vec<i64> {
    let begins = |at: &usize| text[*at].is_ascii_digit() && (*at == 0 || !text[at - 1].is_ascii_digit());
    let of_length = |at: usize, length: usize| {
        let end = at + length;
        let ends = text.get(end).is_none_or(|next| !next.is_ascii_digit());
        text.get(at..end).filter(|_| ends).and_then(either)
    };
    let found = (0..text.len()).filter(begins).filter_map(|at| (8..=10).rev().find_map(|n| of_length(at, n)));
    found.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::SECOND_NS;
    use super::*;

    #[test]
    fn dates_stand_in_texts() {
        let day = 1_684_195_200 * SECOND_NS;
        for text in
            ["Export of 16.05.2023", "trip_20230516.csv", "# 2023-05-16T06:59:10Z", "05/16/2023, Bench 4"]
        {
            assert!(dates(text.as_bytes()).contains(&day), "{text}");
        }
        for text in ["", "Bench 4", "1234567890123", "16.13.2023", "99999999"] {
            assert_eq!(dates(text.as_bytes()), [0; 0], "{text}");
        }
    }
}
