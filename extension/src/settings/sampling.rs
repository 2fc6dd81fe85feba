//! Settings of sampling: numbers, words, and the list of rules, inline or in a file of the function's package.

use std::io::Read;
use std::time::Duration;

use policy::sampling::{Ratio, Rule, Sampling, Slow};
use wire::{key_values, rules};

use super::Reader;
use super::variables::is_off;

const RATIO: &str = "PREFREEZE_SAMPLING_RATIO";
const RULES: &str = "PREFREEZE_SAMPLING_RULES";
const RULES_FILE: &str = "PREFREEZE_SAMPLING_RULES_FILE";
const SLOW: &str = "PREFREEZE_SAMPLING_SLOW";
const BOOST: &str = "PREFREEZE_SAMPLING_BOOST";

/// The longest file of rules: a thousand times what people write by hand.
const FILE_MAX: u64 = 1 << 20;
/// Where nothing else is set, so much more is kept of an operation that departs from its baseline.
const BOOST_FACTOR: f64 = 10.0;
/// What is slow where nothing is set: the slowest hundredth of an operation.
const SLOW_DEFAULT: Slow = Slow::Above(0.99);

impl Reader {
    pub(super) fn sampling(&mut self) -> Sampling {
        let switch = [("on", true), ("off", false)];
        let ratio = self.ratio(RATIO).unwrap_or(Ratio::ALL);
        Sampling {
            ratio,
            rules: self.rules(),
            keeps_cold_starts: self.word("PREFREEZE_SAMPLING_COLD_STARTS", true, &switch),
            slow: self.slow(),
            keeps_rare: self.word("PREFREEZE_SAMPLING_RARE", true, &switch),
            boost: self.boost(ratio),
            obeys_xray: self.word("PREFREEZE_SAMPLING_XRAY", false, &[("ignore", false), ("obey", true)]),
            service: self.service().into(),
        }
    }

    fn ratio(&mut self, name: &str) -> Option<Ratio> {
        let ratio = self.get(name)?.parse().ok().and_then(Ratio::new);
        if ratio.is_none() {
            self.problem(name, "not a number from 0 to 1");
        }
        ratio
    }

    fn boost(&mut self, ratio: Ratio) -> Option<Ratio> {
        let is_off = self.get(BOOST).is_some_and(is_off);
        let default = ratio.times(BOOST_FACTOR);
        (!is_off).then(|| self.ratio(BOOST).unwrap_or(default))
    }

    /// `off`, a number of milliseconds, or a percentile such as `p99.5`.
    fn slow(&mut self) -> Slow {
        let Some(text) = self.get(SLOW).map(str::to_ascii_lowercase) else { return SLOW_DEFAULT };
        let percentile = text.strip_prefix('p').and_then(|number| number.parse::<f64>().ok());
        let read = match percentile {
            _ if is_off(&text) => Some(Slow::Never),
            Some(number) => (number > 0.0 && number < 100.0).then_some(Slow::Above(number / 100.0)),
            None => text.parse().ok().map(|ms| Slow::From(Duration::from_millis(ms))),
        };
        read.unwrap_or_else(|| {
            self.problem(SLOW, "not off, a number of milliseconds, or a percentile such as p99");
            SLOW_DEFAULT
        })
    }

    fn rules(&mut self) -> Vec<Rule> {
        let file = self.get(RULES_FILE).map(str::to_owned);
        let (name, text) = match (self.get(RULES).map(str::to_owned), file) {
            (Some(text), file) => {
                if file.is_some() {
                    self.problem(RULES_FILE, "PREFREEZE_SAMPLING_RULES is set too, and holds");
                }
                (RULES, text)
            }
            (None, Some(path)) => match self.read_file(&path) {
                Ok(text) => (RULES_FILE, text),
                Err(error) => {
                    self.problem(RULES_FILE, format!("the file cannot be read: {error}"));
                    return Vec::new();
                }
            },
            (None, None) => return Vec::new(),
        };
        let (rules, problems) = rules::parse(&text);
        problems.into_iter().for_each(|problem| self.problem(name, problem.to_string()));
        rules
    }

    /// A file of the function's package: a path that is not absolute begins there.
    pub(super) fn read_file(&self, path: &str) -> std::io::Result<String> {
        let file = std::fs::File::open(self.package().join(path))?;
        let mut text = String::new();
        let read = file.take(FILE_MAX + 1).read_to_string(&mut text)?;
        if read as u64 > FILE_MAX {
            return Err(std::io::Error::other("it is too long"));
        }
        Ok(text)
    }

    /// `service.name` of resources that have none, as [`Reader::identity`] completes them.
    fn service(&self) -> String {
        let attributes = key_values::parse(self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        let attributes: Vec<_> = attributes.collect::<Result<_, _>>().unwrap_or_default();
        let given = attributes.into_iter().find(|(key, _)| key == "service.name").map(|(_, value)| value);
        let named = self.get("OTEL_SERVICE_NAME").map(str::to_owned).or(given);
        named.or_else(|| self.get("AWS_LAMBDA_FUNCTION_NAME").map(str::to_owned)).unwrap_or_default()
    }
}
