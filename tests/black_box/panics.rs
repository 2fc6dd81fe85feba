//! A program whose bug quotes a card number: what the extension's own voice makes of it is a test.

fn main() {
    extension::log::panics();
    let card = "4111 1111 1111 1111";
    panic!("no such card: {card}");
}
