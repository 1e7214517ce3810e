//! The driver matrix: tokio-postgres and sqlx. Arguments: which one, the file of the cells, a libpq URL.

mod cells;
mod on_sqlx;
mod on_tokio_postgres;

use cells::{Cells, Failed};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [driver, file, url] = arguments.as_slice() else {
        return Err("usage: writ-clients-rust tokio-postgres|sqlx CELLS URL".into());
    };
    let cells = Cells::read(file)?;
    match driver.as_str() {
        "tokio-postgres" => on_tokio_postgres::run(url, &cells).await,
        "sqlx" => on_sqlx::run(url, &cells).await,
        other => Err(format!("no driver {other}").into()),
    }
}
