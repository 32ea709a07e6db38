//! Prints `host/api/openapi.json`.

fn main() {
    print!("{}", wrought_api::openapi::document());
}
