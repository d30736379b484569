//! Production's origin: checks every request, and gives each the answer that its client expects.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, Builder};

use crate::ledger::Ledger;
use crate::wire::Wire;

/// The server; its threads end with their connections, and with the process.
pub struct Origin {
    port: u16,
}

impl Origin {
    pub fn start(ledger: Arc<Ledger>) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let ledger = Arc::clone(&ledger);
                let serve = move || {
                    // Production may close as it likes.
                    let _ = serve(stream?, &ledger);
                    io::Result::Ok(())
                };
                Builder::new().stack_size(256 * 1024).spawn(serve).unwrap();
            }
        });
        Origin { port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

fn serve(stream: TcpStream, ledger: &Ledger) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.head()? {
        let content = wire.content(&head, false)?;
        let Some(request) = ledger.traffic.of_head(&head) else {
            ledger.wrong("the origin got a request without a number");
            return Ok(());
        };
        if let Some(difference) = request.differs_at_origin(&head, &content) {
            ledger.wrong(format!("request {} at the origin: {difference}", request.id));
        }
        ledger.serve(request.id);
        let content = request.answer.content.unwrap_or_default();
        let fields = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
        wire.write(&[fields.as_bytes(), content].concat())?;
    }
    Ok(())
}
