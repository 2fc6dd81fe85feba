//! Prices for the estimate of cost: list prices, with what the user knows better in their place.

use policy::{Architecture, Prices};
use serde_json::Value;

use super::Reader;

const NAME: &str = "PREFREEZE_PRICES";

impl Reader {
    /// The list prices, with each price that is set in place of its own. A price that cannot be read is reported, and its
    /// list price used.
    pub(super) fn prices(&mut self) -> Prices {
        // A layer's binary runs on the architecture that it was built for, and so does its function.
        let architecture = architecture(std::env::consts::ARCH);
        let mut prices = Prices::listed(self.memory_mib() << 20, architecture);
        let Some(text) = self.get(NAME) else { return prices };
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => {
                for (key, value) in &fields {
                    if let Err(reason) = set(&mut prices, key, value) {
                        self.problem(NAME, reason);
                    }
                }
            }
            // Its own words for what else it is would show it.
            Ok(_) => self.problem(NAME, "not a JSON object"),
            Err(error) => {
                let place = format!("line {} column {}", error.line(), error.column());
                self.problem(NAME, format!("not a JSON object, {place}"));
            }
        }
        prices
    }
}

/// The architecture that Rust calls this.
fn architecture(name: &str) -> Architecture {
    if name == "aarch64" { Architecture::Arm64 } else { Architecture::X86 }
}

fn set(prices: &mut Prices, key: &str, value: &Value) -> Result<(), String> {
    let place = match key {
        "as_of" | "currency" => {
            let text = value.as_str().ok_or_else(|| format!("{key} is not text"))?;
            let place = if key == "as_of" { &mut prices.as_of } else { &mut prices.currency };
            *place = text.into();
            return Ok(());
        }
        "ingested_gb" => &mut prices.ingested_gb,
        "egress_gb" => &mut prices.egress_gb,
        "stored_gb_month" => &mut prices.stored_gb_month,
        "stored_days" => &mut prices.stored_days,
        "lambda_gb_second" => &mut prices.lambda_gb_second,
        _ => return Err(format!("there is no price {key:?}")),
    };
    let number = value.as_f64().filter(|number| *number >= 0.0);
    *place = number.ok_or_else(|| format!("{key} is not a number from zero up"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_the_function_costs_what_its_architecture_costs() {
        let rows = [("aarch64", 0.000_013_333_4), ("x86_64", 0.000_016_666_7)];
        for (name, expected) in rows {
            let prices = Prices::listed(1 << 30, architecture(name));
            assert_eq!(prices.lambda_gb_second, expected, "{name}");
        }
    }

    #[test]
    fn the_default_is_the_price_of_the_architecture_built_for() {
        let is_arm = cfg!(target_arch = "aarch64");
        let expected = if is_arm { Architecture::Arm64 } else { Architecture::X86 };
        assert_eq!(architecture(std::env::consts::ARCH), expected);
    }
}
