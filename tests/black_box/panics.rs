//! The extension with a planted bug: it panics in the step of its start that is named, or in a word about a card number.

use extension::Step;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    extension::log::panics();
    let Some(name) = std::env::args().nth(1) else {
        let card = "4111 1111 1111 1111";
        panic!("no such card: {card}");
    };
    if name == "steps" {
        let names: Vec<_> = Step::ALL.iter().map(|step| format!("{step:?}")).collect();
        extension::log::print(&names.join(" "));
        return Ok(());
    }
    let planted = Step::ALL.into_iter().find(|step| format!("{step:?}") == name).ok_or("no such step")?;
    extension::run_through(move |step| assert_ne!(step, planted, "planted"))?;
    Ok(())
}
