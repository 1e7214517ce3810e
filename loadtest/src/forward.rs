//! A proxy that does nothing: what two sockets more cost by themselves.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// From where to where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    from: SocketAddr,
    to: SocketAddr,
}

/// Reads `FROM=TO`.
pub(crate) fn parse(text: &str) -> Result<Route, String> {
    let (from, to) = text.split_once('=').ok_or("write FROM=TO, two addresses with ports")?;
    let address = |text: &str| text.parse().map_err(|e| format!("`{text}`: {e}"));
    Ok(Route { from: address(from)?, to: address(to)? })
}

/// Forwards until it is ended, on one thread.
pub(crate) fn run(route: Route) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(route.from).await.context("cannot listen")?;
        loop {
            let (client, _) = listener.accept().await?;
            runtime.spawn(async move {
                if let Err(error) = forward(client, route.to).await {
                    eprintln!("forward: {error}");
                }
            });
        }
    })
}

async fn forward(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
