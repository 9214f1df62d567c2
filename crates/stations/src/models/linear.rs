//! Logistic regression and the linear support vector machine, both from linfa.

use linfa::prelude::{Dataset, Fit as _, Pr, Predict as _};
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::boost::softmax;
use super::input::Standard;
use super::{Model, spread};
use crate::features::NONE;
use crate::samples::{Samples, Seen};

/// Rows that the logistic regression learns from at most, a horizon, evenly spread.
const ROWS_LOGISTIC: usize = 12_000;

/// Rows that the support vector machine learns from at most, a horizon: linfa's solver holds rows × rows.
const ROWS_SVM: usize = 800;

/// A label that was never seen has this logit, and this probability before those of a horizon are made to sum to 1.
const UNSEEN: (f32, f32) = (-12.0, 1e-4);

/// The rows of a horizon whose truth is known: standardised, and the truths.
fn known(samples: &Samples, input: &Standard, horizon: usize, most: usize) -> (Array2<f64>, Array1<usize>) {
    let known: Vec<usize> = (0..samples.len()).filter(|row| samples.truth(*row)[horizon] != NONE).collect();
    let rows: Vec<usize> = spread(known.len(), most).map(|i| known[i]).collect();
    let x: Vec<f64> = input.rows(samples, rows.iter().copied()).into_iter().map(f64::from).collect();
    let y = rows.iter().map(|row| usize::from(samples.truth(*row)[horizon])).collect();
    let shape = (rows.len(), input.width());
    (Array2::from_shape_vec(shape, x).unwrap_or_else(|_| Array2::zeros(shape)), y)
}

/// Multinomial logistic regression: one matrix for all horizons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    input: Standard,
    classes: usize,
    /// `input × output`, then one intercept an output.
    weights: Vec<f32>,
}

impl Logistic {
    /// Trains each horizon.
    pub fn train(samples: &Samples, label: usize, progress: &mut dyn FnMut(f64)) -> Self {
        let input = Standard::new(samples, label);
        let (wide, classes) = (input.width(), samples.classes);
        let outputs = samples.horizons * classes;
        let mut weights = vec![0.0; (wide + 1) * outputs];
        for horizon in 0..samples.horizons {
            let (x, y) = known(samples, &input, horizon, ROWS_LOGISTIC);
            let at = horizon * classes;
            weights[wide * outputs + at..][..classes].fill(UNSEEN.0);
            let present = y.iter().collect::<std::collections::BTreeSet<_>>();
            if let [only] = present.iter().collect::<Vec<_>>()[..] {
                weights[wide * outputs + at + **only] = 0.0;
            }
            let fitted = MultiLogisticRegression::default()
                .alpha(2.0)
                .max_iterations(40)
                .fit(&Dataset::new(x, y.clone()));
            // Without two labels there is nothing to separate.
            if let Ok(model) = fitted {
                for (column, class) in model.classes().iter().enumerate() {
                    for feature in 0..wide {
                        weights[feature * outputs + at + class] = model.params()[(feature, column)] as f32;
                    }
                    weights[wide * outputs + at + class] = model.intercept()[column] as f32;
                }
            }
            progress((horizon + 1) as f64 / samples.horizons as f64);
        }
        Self { input, classes, weights }
    }

    /// Whether it fits rows of `width` and so many outputs.
    pub fn is_sound(&self, width: usize, outputs: usize) -> bool {
        self.input.is_sound(width)
            && self.classes > 0
            && outputs.is_multiple_of(self.classes)
            && self.weights.len() == (self.input.width() + 1) * outputs
    }
}

impl Model for Logistic {
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        let mut x = vec![0.0; self.input.width()];
        self.input.fill(seen.features, &mut x);
        let (weights, intercepts) = self.weights.split_at(x.len() * out.len());
        out.copy_from_slice(intercepts);
        for (x, weights) in x.iter().zip(weights.chunks(out.len())) {
            out.iter_mut().zip(weights).for_each(|(out, w)| *out += x * w);
        }
        out.chunks_mut(self.classes).for_each(softmax);
    }
}

/// One linear machine a label and horizon, with probabilities after Platt (1999), made to sum to 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Svm {
    input: Standard,
    classes: usize,
    /// By horizon: labels and their machines.
    machines: Vec<Vec<(usize, linfa_svm::Svm<f64, Pr>)>>,
}

impl Svm {
    /// Trains each label of each horizon against the rest.
    pub fn train(samples: &Samples, label: usize, progress: &mut dyn FnMut(f64)) -> Self {
        let input = Standard::new(samples, label);
        let mut machines = Vec::new();
        for horizon in 0..samples.horizons {
            let (x, y) = known(samples, &input, horizon, ROWS_SVM);
            let mut each = Vec::new();
            for class in 0..samples.classes {
                let of_class = y.mapv(|label| label == class);
                if of_class.iter().filter(|is| **is).count() < 5 {
                    continue;
                }
                let data = Dataset::new(x.clone(), of_class);
                let params =
                    linfa_svm::Svm::<f64, Pr>::params().linear_kernel().pos_neg_weights(1.0, 1.0).eps(1e-2);
                if let Ok(mut machine) = params.fit(&data) {
                    // Of a linear machine only the hyperplane is asked.
                    machine.alpha = Vec::new();
                    each.push((class, machine));
                }
            }
            machines.push(each);
            progress((horizon + 1) as f64 / samples.horizons as f64);
        }
        Self { input, classes: samples.classes, machines }
    }

    /// Whether it fits rows of `width` and so many horizons and labels.
    pub fn is_sound(&self, width: usize, horizons: usize, classes: usize) -> bool {
        self.input.is_sound(width)
            && self.classes == classes
            && self.machines.len() == horizons
            && self.machines.iter().flatten().all(|(class, _)| *class < classes)
    }
}

impl Model for Svm {
    fn predict(&self, seen: Seen<'_>, out: &mut [f32]) {
        let mut x = vec![0.0; self.input.width()];
        self.input.fill(seen.features, &mut x);
        let x = Array2::from_shape_fn((1, x.len()), |(_, i)| f64::from(x[i]));
        for (machines, out) in self.machines.iter().zip(out.chunks_mut(self.classes)) {
            out.fill(UNSEEN.1);
            for (class, machine) in machines {
                let p: Array1<Pr> = machine.predict(&x);
                out[*class] = (*p[0]).max(UNSEEN.1);
            }
            if machines.is_empty() {
                out[seen.now] = 1.0;
            }
            let sum: f32 = out.iter().sum();
            out.iter_mut().for_each(|p| *p /= sum);
        }
    }
}
