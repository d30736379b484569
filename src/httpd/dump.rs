//! `httpd -t -D DUMP_COPY`: prints what the configuration came to, as httpd's own `DUMP_VHOSTS` does.

use std::io::Write;

use super::guard::guard;
use super::{config, ffi, kept, pool, proxy};
use crate::boundary::Boundary;
use crate::config::Host;

/// Whether whoever started httpd asked for it.
pub fn is_asked() -> bool {
    // SAFETY: looks a name up among those of the command line and of `Define`.
    unsafe { ffi::ap_exists_config_define(c"DUMP_COPY".as_ptr()) != 0 }
}

/// `test_config`: the configuration has been read and checked, and httpd will not start.
pub unsafe extern "C" fn print(_: *mut ffi::apr_pool_t, main: *mut ffi::server_rec) {
    guard(Boundary::TestConfig, (), || {
        if is_asked() {
            // SAFETY: httpd's main server, whose configuration is complete.
            let text = config::dump(&unsafe { hosts(main) });
            // Whoever closes the pipe has read enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
        }
    });
}

/// The main server, and every virtual host.
unsafe fn hosts(main: *const ffi::server_rec) -> Vec<Host> {
    let mut hosts = Vec::new();
    let mut next = main;
    // SAFETY: httpd's list of servers, which ends in NULL.
    while let Some(server) = unsafe { next.as_ref() } {
        hosts.push(Host {
            // SAFETY: a server of httpd's.
            server: unsafe { config::which(next) },
            title: title(server),
            // SAFETY: the server's own settings.
            settings: *unsafe { kept::scope_settings(server.lookup_defaults) },
            // SAFETY: a server of httpd's.
            proxy: unsafe { proxy::written(next) },
        });
        next = server.next;
    }
    // httpd has the main server first, and then the virtual host that was read last.
    if let [_, virtual_hosts @ ..] = hosts.as_mut_slice() {
        virtual_hosts.reverse();
    }
    hosts
}

fn title(server: &ffi::server_rec) -> String {
    // SAFETY: NULL, or a text of the configuration's.
    let name = String::from_utf8_lossy(unsafe { pool::bytes(server.server_hostname) });
    if server.is_virtual == 0 {
        return format!("main server {name}");
    }
    let mut addresses = String::new();
    let mut next = server.addrs;
    // SAFETY: the list of the server's addresses, which ends in NULL.
    while let Some(address) = unsafe { next.as_ref() } {
        // SAFETY: a text of the configuration's.
        let host = String::from_utf8_lossy(unsafe { pool::bytes(address.virthost) });
        addresses += &match address.host_port {
            0 => format!(" {host}"),
            port => format!(" {host}:{port}"),
        };
        next = address.next;
    }
    // SAFETY: NULL, or a text of the configuration's.
    let file = String::from_utf8_lossy(unsafe { pool::bytes(server.defn_name) });
    format!("<VirtualHost{addresses}> {name} ({file}:{})", server.defn_line_number)
}
