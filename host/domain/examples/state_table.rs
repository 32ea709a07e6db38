//! Prints `docs/state-machine.md`.

fn main() {
    print!("{}", wrought_domain::state_table::markdown());
}
