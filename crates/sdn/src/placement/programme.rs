//! A problem as an integer programme in CPLEX's LP format, for exact solvers such as HiGHS: what the search is held against.

use super::dense::Dense;
use super::problem::Problem;
use std::fmt::Write as _;

/// Terms on one line: some solvers read no lines over 560 bytes.
const TERMS: usize = 16;

/// Resources, as the constraints' names have them.
const RESOURCES: [&str; 3] = ["load", "memory", "instances"];

/// The programme: `x3_7` is 1 if item 3 runs on node 7, `n3` if it runs nowhere. Its least objective is the least cost.
#[must_use]
pub fn programme(problem: &Problem) -> String {
    let dense = Dense::new(problem);
    let mut text = String::from("Minimize\n cost:");
    let costs = dense.items.iter().enumerate().flat_map(|(item, one)| {
        let places = one.options.iter().map(move |(node, cost)| (*cost, format!("x{item}_{node}")));
        std::iter::once((one.nowhere, format!("n{item}"))).chain(places)
    });
    sum(&mut text, costs);
    text.push_str("\nSubject To\n");
    let mut at_node: Vec<Vec<usize>> = vec![Vec::new(); dense.rooms.len()];
    for (item, one) in dense.items.iter().enumerate() {
        let _ = write!(text, " once{item}:");
        let places = one.options.iter().map(|(node, _)| (1, format!("x{item}_{node}")));
        sum(&mut text, std::iter::once((1, format!("n{item}"))).chain(places));
        text.push_str(" = 1\n");
        one.options.iter().for_each(|(node, _)| at_node[*node as usize].push(item));
    }
    for (node, (room, here)) in dense.rooms.iter().zip(&at_node).enumerate() {
        for (r, name) in RESOURCES.iter().enumerate().filter(|_| !here.is_empty()) {
            let _ = write!(text, " {name}{node}:");
            let needs = here
                .iter()
                .map(|item| (dense.items[*item].need[r].unsigned_abs(), format!("x{item}_{node}")));
            sum(&mut text, needs);
            let _ = writeln!(text, " <= {}", room[r]);
        }
        for item in here {
            for other in dense.items[*item].apart.iter().filter(|other| *other > item && here.contains(other))
            {
                let _ = writeln!(text, " apart{item}_{other}_{node}: x{item}_{node} + x{other}_{node} <= 1");
            }
        }
    }
    text.push_str("Binary\n");
    for (item, one) in dense.items.iter().enumerate() {
        let _ = writeln!(text, " n{item}");
        one.options.iter().for_each(|(node, _)| {
            let _ = writeln!(text, " x{item}_{node}");
        });
    }
    text.push_str("End\n");
    text
}

/// Writes a sum of terms, some on each line. Writing to a String does not fail.
fn sum(text: &mut String, terms: impl Iterator<Item = (u64, String)>) {
    for (n, (factor, variable)) in terms.enumerate() {
        let plus = if n == 0 { "" } else { "+ " };
        let line = if n > 0 && n % TERMS == 0 { "\n " } else { "" };
        let _ = write!(text, "{line} {plus}{factor} {variable}");
    }
}
