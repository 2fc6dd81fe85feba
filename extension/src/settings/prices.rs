//! Prices for the estimate of cost: list prices, with what the user knows better in their place.

use policy::Prices;
use serde_json::Value;

use super::Reader;

const NAME: &str = "PREFREEZE_PRICES";

impl Reader {
    /// What cannot be read is named, and its default used; the rest holds.
    pub(super) fn prices(&mut self) -> Prices {
        let mut prices = Prices::listed(self.memory_mib() << 20);
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
