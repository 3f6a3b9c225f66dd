//! Runs contenders in turn.

use super::Error;

/// One thing to measure, again and again.
pub struct Contender<'a> {
    /// The metric's name, e.g. `w1_loop`.
    pub metric: String,
    /// The unit of the figures, e.g. `ns/event`.
    pub unit: &'static str,
    /// Takes one sample.
    pub sample: Box<dyn FnMut() -> Result<f64, Error> + 'a>,
}

/// The samples of one metric, in the order in which they were taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The metric's name.
    pub metric: String,
    /// The unit of the samples.
    pub unit: &'static str,
    /// One sample a round.
    pub samples: Vec<f64>,
}

impl Series {
    /// Sample by sample, this series divided by `baseline`: neighbours in time are compared, so that what
    /// slows the machine for a while cancels out.
    ///
    /// Both must come from the same call of [`interleave`].
    pub fn over(&self, baseline: &Self, metric: impl Into<String>) -> Self {
        assert_eq!(self.samples.len(), baseline.samples.len(), "ratios are taken within one run");
        let samples = self.samples.iter().zip(&baseline.samples).map(|(a, b)| a / b).collect();
        Self { metric: metric.into(), unit: "ratio", samples }
    }
}

/// Takes `rounds` samples of each contender: all of them once, then all of them again. The first failure
/// ends the run.
pub fn interleave(rounds: usize, contenders: &mut [Contender<'_>]) -> Result<Vec<Series>, Error> {
    let mut series: Vec<_> = contenders
        .iter()
        .map(|c| Series { metric: c.metric.clone(), unit: c.unit, samples: Vec::with_capacity(rounds) })
        .collect();
    for _ in 0..rounds {
        for (contender, series) in contenders.iter_mut().zip(&mut series) {
            series.samples.push((contender.sample)()?);
        }
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn contenders_take_turns_and_ratios_pair_neighbours() {
        let order = RefCell::new(String::new());
        let contender = |name: &'static str, factor: f64| Contender {
            metric: name.to_owned(),
            unit: "ns/event",
            sample: Box::new({
                let order = &order;
                move || {
                    order.borrow_mut().push_str(name);
                    Ok(factor * order.borrow().len().div_ceil(2) as f64)
                }
            }),
        };
        let series = interleave(3, &mut [contender("a", 4.0), contender("b", 2.0)]).unwrap();
        assert_eq!(*order.borrow(), "ababab");
        assert_eq!(series[0].samples, [4.0, 8.0, 12.0]);
        assert_eq!(series[0].over(&series[1], "a_ratio").samples, [2.0; 3]);
    }
}
