//! The one table of directives: it feeds httpd's command table, the reference and the tests.

use std::ffi::CStr;
use std::path::PathBuf;
use std::time::Duration;

use super::draft::Place;
use super::settings::Traced;
use super::values::{self, Fault};
use super::written::Line;
use super::{compare, key_file, lines};
use crate::copylog::Spec;
use crate::message::TraceHeader;
use crate::{mask, tls};

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The server configuration alone, outside of virtual hosts.
    Server,
    /// The server configuration and virtual hosts.
    VirtualHost,
    /// Those, and the sections in them: `<Location>`, `<Directory>`, `<Files>`, `<If>` …
    Directory,
}

impl Context {
    /// The contexts as httpd's manual lists them.
    pub fn manual(self) -> &'static str {
        match self {
            Context::Server => "server config",
            Context::VirtualHost => "server config, virtual host",
            Context::Directory => "server config, virtual host, directory",
        }
    }
}

/// One directive of the module.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static CStr,
    /// Its arguments, as the reference shows them.
    pub arguments: &'static str,
    /// What holds where it is not written.
    pub default: &'static str,
    /// Where it may stand.
    pub context: Context,
    /// Whether it may stand in a target's block, too.
    pub in_block: bool,
    /// What it does, in one sentence; shown by `httpd -L`, and in the reference.
    pub help: &'static CStr,
    apply: fn(&mut Place<'_>, &str) -> Result<(), Fault>,
}

impl Directive {
    /// Takes the directive's arguments into the configuration.
    pub fn apply(&'static self, place: &mut Place<'_>, arguments: &str) -> Result<(), Fault> {
        place.server.sections |= place.in_section;
        let block = place.draft.block_of().map(str::to_owned);
        (self.apply)(place, arguments)?;
        place.draft.record(Line {
            directive: self,
            arguments: arguments.to_owned(),
            origin: place.origin.clone(),
            server: place.which,
            block,
            scope: *place.scope,
        });
        Ok(())
    }
}

/// What begins a target's block.
pub const BLOCK: &CStr = c"<CopyTarget";

/// Every directive, in the order of the reference.
pub static DIRECTIVES: [Directive; 27] = [
    Directive {
        name: c"CopyTarget",
        arguments: "URL [key=value …] [env=[!]VAR | \"expr=…\"]",
        default: "",
        context: Context::Directory,
        in_block: false,
        help: c"Copies the scope's requests to staging: http[s]:// or h2[c]://host[:port][/path], the same behind unix:/path|, or the members of balancer://name[/path]",
        apply: lines::copy_target,
    },
    Directive {
        name: BLOCK,
        arguments: "URL [key=value …] [env=[!]VAR | \"expr=…\"]> … </CopyTarget>",
        default: "",
        context: Context::VirtualHost,
        in_block: false,
        help: c"The same, with directives that hold for the copies to this target alone",
        apply: lines::open_block,
    },
    Directive {
        name: c"MirrorRequest",
        arguments: "On | Off | URL-or-name … [rule-key=value …] [env=[!]VAR | \"expr=…\"]",
        default: "On where a target is in scope",
        context: Context::Directory,
        in_block: false,
        help:
            c"Switches copying on or off in the scope, or says which targets receive its requests",
        apply: lines::mirror_request,
    },
    Directive {
        name: c"CopyTimeout",
        arguments: "time",
        default: "ProxyTimeout where mod_proxy has one, else 5s",
        context: Context::VirtualHost,
        in_block: true,
        help: c"How long the whole exchange of a copy with staging may take",
        apply: |place, arguments| {
            let time = values::time(&values::single(arguments, "one time")?)?;
            match place.block() {
                Some(block) => lines::once(&mut block.target.timeout, time, "timeout"),
                None => {
                    place.server.timeout = Some(time);
                    Ok(())
                }
            }
        },
    },
    Directive {
        name: c"CopyConnectTimeout",
        arguments: "time",
        default: "1s",
        context: Context::VirtualHost,
        in_block: true,
        help: c"How long making a connection to staging may take",
        apply: |place, arguments| {
            let time = values::time(&values::single(arguments, "one time")?)?;
            match place.block() {
                Some(block) => {
                    lines::once(&mut block.target.connect_timeout, time, "connectiontimeout")
                }
                None => {
                    place.server.connect_timeout = Some(time);
                    Ok(())
                }
            }
        },
    },
    Directive {
        name: c"CopyReceiveBufferSize",
        arguments: "bytes",
        default: "ProxyReceiveBufferSize where mod_proxy has one, else 0",
        context: Context::VirtualHost,
        in_block: true,
        help: c"The receive buffer of connections to staging; 0 is the system's",
        apply: |place, arguments| {
            let size = receive_buffer(&values::single(arguments, "one size")?)?;
            match place.block() {
                Some(block) => block.target.receive_buffer = Some(size),
                None => place.server.receive_buffer = Some(size),
            }
            Ok(())
        },
    },
    Directive {
        name: c"CopyPreserveHost",
        arguments: "On | Off",
        default: "ProxyPreserveHost where mod_proxy has one, else Off",
        context: Context::Directory,
        in_block: true,
        help: c"Whether staging sees the client's Host field instead of its own name",
        apply: |place, arguments| {
            let preserve = Some(switch(arguments)?);
            match place.block() {
                Some(block) => block.target.preserve_host = preserve,
                None => place.scope.preserve_host = preserve,
            }
            Ok(())
        },
    },
    Directive {
        name: c"CopyAddHeaders",
        arguments: "On | Off",
        default: "On",
        context: Context::Directory,
        in_block: true,
        help: c"Whether copies carry X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto",
        apply: |place, arguments| {
            let add = Some(switch(arguments)?);
            match place.block() {
                Some(block) => block.target.add_headers = add,
                None => place.scope.add_headers = add,
            }
            Ok(())
        },
    },
    Directive {
        name: c"CopyTraceHeader",
        arguments: "name[: value] | Off",
        default: "Off",
        context: Context::Directory,
        in_block: true,
        help: c"A field that each copy has, so that tracing systems tell it from the request itself",
        apply: |place, arguments| {
            let header = trace_header(arguments)?;
            match (place.block(), header) {
                (Some(block), header) => block.target.trace = Some(header),
                (None, None) => place.scope.trace = Some(Traced::Off),
                (None, Some(header)) => place.scope.trace = Some(place.draft.trace(header)),
            }
            Ok(())
        },
    },
    Directive {
        name: c"CopyBodyLimit",
        arguments: "size",
        default: "1M",
        context: Context::Directory,
        in_block: false,
        help: c"The largest request body that is copied; 0 copies only requests without one",
        apply: |place, arguments| {
            let size = values::size(&values::single(arguments, "one size")?, 0..=1 << 30)?;
            place.scope.body_limit = Some(size);
            place.server.largest_body = place.server.largest_body.max(Some(size));
            Ok(())
        },
    },
    Directive {
        name: c"CopyManagerOpen",
        arguments: "On | Off",
        default: "Off",
        context: Context::Directory,
        in_block: false,
        help: c"Whether copy-manager works where no access control of httpd's keeps anybody out",
        apply: |place, arguments| {
            place.scope.manager_open = Some(switch(arguments)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyMemory",
        arguments: "size",
        default: "64M",
        context: Context::Server,
        in_block: false,
        help: c"The most memory that all copies of one child process may take",
        apply: |place, arguments| {
            let size = values::single(arguments, "one size")?;
            place.draft.memory = Some(values::size(&size, 64 << 10..=64 << 30)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyDrainTimeout",
        arguments: "time",
        default: "2s",
        context: Context::Server,
        in_block: false,
        help: c"How long a child that ends goes on sending the copies it still has, at most 6s",
        apply: |place, arguments| {
            let text = values::single(arguments, "one time")?;
            let time = values::time(&text)?;
            // httpd kills a child 9 s after the signal.
            if time > Duration::from_secs(6) {
                return Err(Fault::new("a time from 1ms to 6s", text));
            }
            place.draft.drain_timeout = Some(time);
            Ok(())
        },
    },
    Directive {
        name: c"CopyDNSRefresh",
        arguments: "time",
        default: "60s",
        context: Context::Server,
        in_block: false,
        help: c"How long the addresses of a target's name are used before they are looked up again",
        apply: |place, arguments| {
            let time = values::time(&values::single(arguments, "one time")?)?;
            place.draft.dns_refresh = Some(time);
            Ok(())
        },
    },
    Directive {
        name: c"CopyLog",
        arguments: "file | |program [errors | all | compared | differing] [json | format]",
        default: "",
        context: Context::VirtualHost,
        in_block: false,
        help: c"A line for each copy, or for each comparison of its answer with production's",
        apply: |place, arguments| {
            let spec = Spec::parse(&values::words(arguments))?;
            place.log(spec);
            Ok(())
        },
    },
    Directive {
        name: c"CopyMask",
        arguments: "standard | query|form|json|cookie|header NAME … [drop | fixed[:TEXT] | hash]",
        default: "",
        context: Context::VirtualHost,
        in_block: true,
        help: c"What staging may not see: values of these names are dropped, replaced or hashed in copies",
        apply: |place, arguments| {
            let rules = mask::Rule::parse(&values::words(arguments));
            let rules = rules.map_err(|unclear| Fault::new(unclear.expected, unclear.found))?;
            place.terms().masks.extend(rules);
            Ok(())
        },
    },
    Directive {
        name: c"CopyMaskKeyFile",
        arguments: "file",
        default: "a key by chance, until httpd is stopped",
        context: Context::Server,
        in_block: false,
        help: c"The key of the hashes that CopyMask makes: a file of 16 bytes or more, for its owner alone",
        apply: |place, arguments| {
            let file = file(place, arguments)?;
            place.draft.mask_key = Some(key_file::read(&file).map_err(Fault::said)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSVerify",
        arguments: "On | Off",
        default: "On",
        context: Context::VirtualHost,
        in_block: true,
        help: c"Whether an https target must prove by its certificate that it is who it should be",
        apply: |place, arguments| {
            place.terms().tls.verify = Some(switch(arguments)?);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSCACertificateFile",
        arguments: "file",
        default: "the system's",
        context: Context::VirtualHost,
        in_block: true,
        help: c"The certificates, in PEM, of the CAs that https targets are verified with",
        apply: |place, arguments| {
            let file = file(place, arguments)?;
            tls::check_roots(&file).map_err(Fault::said)?;
            place.terms().tls.roots = Some(file);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSCertificateFile",
        arguments: "file",
        default: "",
        context: Context::VirtualHost,
        in_block: true,
        help: c"The certificate, in PEM with its chain, that is shown to https targets that ask for one",
        apply: |place, arguments| {
            let file = file(place, arguments)?;
            tls::check_certificates(&file).map_err(Fault::said)?;
            place.terms().tls.certificate = Some(file);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSCertificateKeyFile",
        arguments: "file",
        default: "CopyTLSCertificateFile",
        context: Context::VirtualHost,
        in_block: true,
        help: c"The private key, in PEM and not encrypted, of that certificate",
        apply: |place, arguments| {
            let file = file(place, arguments)?;
            tls::check_key(&file).map_err(Fault::said)?;
            place.terms().tls.key = Some(file);
            Ok(())
        },
    },
    Directive {
        name: c"CopyTLSServerName",
        arguments: "name",
        default: "the host of the target's URL",
        context: Context::VirtualHost,
        in_block: true,
        help: c"The name that https targets are asked for (SNI), and that their certificate must have",
        apply: |place, arguments| {
            let name = values::single(arguments, "one host name")?;
            if !tls::is_server_name(&name) {
                return Err(Fault::new("a host name", name));
            }
            place.terms().tls.server_name = Some(name);
            Ok(())
        },
    },
    Directive {
        name: c"CopyCompare",
        arguments: "Off | [status] [headers] [body] [sample=share] [methods=list]",
        default: "Off",
        context: Context::Directory,
        in_block: true,
        help: c"Compares staging's answers with production's: status and latency, and fields and bodies where named; of safe methods unless others are",
        apply: compare::compare,
    },
    Directive {
        name: c"CopyCompareIgnore",
        arguments: "header:NAME | json:PATH | order:PATH | regex:EXPRESSION …",
        default: "Date, Server, Connection, Via, Age and the like",
        context: Context::Directory,
        in_block: true,
        help: c"What is not compared: fields, members of JSON, the order of its arrays, what an expression matches",
        apply: compare::ignore,
    },
    Directive {
        name: c"CopyCompareLimit",
        arguments: "size",
        default: "1M",
        context: Context::Directory,
        in_block: true,
        help: c"The longest body that is kept to be compared; longer ones are compared by length and digest",
        apply: compare::limit,
    },
    Directive {
        name: c"CopyCompareThreshold",
        arguments: "differ=share | slower=share | least=number …",
        default: "least=100",
        context: Context::VirtualHost,
        in_block: true,
        help: c"From when on copy-status?verdict answers 409: so many answers differ, so much slower is staging, too few were compared",
        apply: compare::threshold,
    },
    Directive {
        name: c"CopyControl",
        arguments: "URL",
        default: "",
        context: Context::VirtualHost,
        in_block: true,
        help: c"A second instance of production's release, which gets the compared copies too: what differs there as often is noise",
        apply: compare::control,
    },
];

/// As mod_proxy takes it: none is smaller than 512 bytes.
fn receive_buffer(text: &str) -> Result<u32, Fault> {
    let size = values::size(text, 0..=1 << 30).ok().filter(|size| *size == 0 || *size >= 512);
    let expected = "0, or a size from 512 to 1G, as 65536, 64K or 1M";
    let size = size.ok_or_else(|| Fault::new(expected, text))?;
    Ok(u32::try_from(size).unwrap_or(u32::MAX))
}

fn file(place: &Place<'_>, arguments: &str) -> Result<PathBuf, Fault> {
    Ok(place.file(&values::single(arguments, "one file")?))
}

/// The field that copies are marked with; `None` for `Off`.
fn trace_header(arguments: &str) -> Result<Option<TraceHeader>, Fault> {
    let text = values::words(arguments).join(" ");
    if values::switch(&text) == Some(false) {
        return Ok(None);
    }
    let header = TraceHeader::parse(&text);
    header.map(Some).map_err(|(expected, found)| Fault::new(expected, found))
}

/// The directive of that name, letter case aside.
pub fn find(name: &str) -> Option<&'static Directive> {
    let named =
        |directive: &&Directive| directive.name.to_bytes().eq_ignore_ascii_case(name.as_bytes());
    DIRECTIVES.iter().find(named)
}

fn switch(arguments: &str) -> Result<bool, Fault> {
    let word = values::single(arguments, "On or Off")?;
    values::switch(&word).ok_or_else(|| Fault::new("On or Off", word))
}

#[cfg(test)]
mod tests;
