//! `-t -D DUMP_COPY`: what each server and section copies, and where each value comes from.

use mod_copy::config::{DIRECTIVES, TARGET_KEYS};

use crate::conf::Builder;
use crate::mpm::Mpm;
use crate::secure::authority::Authority;
use crate::server::{Server, ask};

/// What is printed, with the names that differ from run to run put as words.
fn printed(builder: &Builder, options: &[&str]) -> String {
    builder.write();
    let output = ask(builder.root(), options);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors == "Syntax OK\n", "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let root = builder.root().display().to_string();
    text.replace(&format!("{root}/"), "").replace(&format!(":{}", builder.port()), ":PORT")
}

/// The same of all but the virtual host of the tests' own.
fn dump(builder: &Builder) -> String {
    let text = printed(builder, &["-t", "-D", "DUMP_COPY"]);
    let (mut kept, mut is_own) = (String::new(), false);
    for line in text.lines() {
        let (shown, in_httpd_conf) = match line.split_once(" (httpd.conf:") {
            Some((title, _)) => (title, true),
            None => (line, false),
        };
        if !line.starts_with(' ') {
            is_own = in_httpd_conf && !line.contains(":PORT");
        }
        if !is_own {
            kept += &format!("{shown}\n");
        }
    }
    kept
}

/// A site: the main server's lines are those of `global.conf`, the virtual host's those of `vhost.conf`.
fn site(global: &str, vhost: &str, tail: &str) -> Builder {
    let builder = Server::on(Mpm::Event)
        .with_defaults()
        .file("global.conf", global)
        .file("vhost.conf", vhost)
        .file("tail.conf", tail);
    let include = |name: &str| format!("Include \"{}/{name}.conf\"", builder.root().display());
    let [global, vhost, tail] = ["global", "vhost", "tail"].map(include);
    builder.global(global).vhost(vhost).tail(tail)
}

#[test]
fn every_value_is_printed_with_its_origin() {
    let authority = Authority::named("staging's");
    let client = authority.client("production");
    let global = "\
CopyMemory 128M
CopyMaskKeyFile mask.key
CopyTimeout 3s
CopyTimeout 4s
CopyMask query token
CopyTLSCACertificateFile ca.pem
";
    let vhost = "\
ServerName www.example.com
ProxyPreserveHost On
ProxyReceiveBufferSize 4096
<Proxy \"balancer://farm\">
    BalancerMember \"http://127.0.0.1:1/\"
</Proxy>
CopyTarget http://127.0.0.1:2/v1 name=next max=5 sample=10% methods=GET,HEAD proxy=http://s3cr3t:s3cr3t@127.0.0.1:9/
CopyTarget balancer://farm/ name=farm failures=0 \\
    env=beta
<CopyTarget https://127.0.0.1:3/ name=tls timeout=2s rate=500/s>
    CopyMask json $.user.email hash
    CopyAddHeaders Off
    CopyTLSVerify Off
    CopyTLSCertificateFile client.pem
    CopyTLSCertificateKeyFile client.key
    RequestHeader unset Cookie
    RequestHeader set X-Access s3cr3t
</CopyTarget>
CopyMask standard
CopyBodyLimit 64K
<Location \"/login\">
    MirrorRequest Off
</Location>
<Location \"/search\">
    MirrorRequest next farm sample=50% \"expr=req('X-Tenant') == 'a'\"
    CopyBodyLimit 0
    CopyPreserveHost Off
    <If \"%{QUERY_STRING} == 'x'\">
        CopyAddHeaders Off
    </If>
</Location>
<IfModule mod_copy.c>
<Directory \"/srv/x\">
    MirrorRequest http://127.0.0.1:4/ body=off
</Directory>
</IfModule>
";
    let tail = "<VirtualHost 127.0.0.1:4444>\nServerName plain.example.com\n</VirtualHost>\n";
    let site = site(global, vhost, tail)
        .modules(&["proxy", "proxy_http", "proxy_balancer", "slotmem_shm", "headers"])
        .modules(&["lbmethod_byrequests", "dir"])
        .file("ca.pem", authority.pem())
        .file("client.pem", &client.certificate)
        .file("client.key", &client.key)
        .secret("mask.key", "s3cr3t of sixteen and more");
    let printed = dump(&site);
    assert!(!printed.contains("s3cr3t"), "{printed}");
    let is_default = |line: &&str| line.ends_with(" (default)");
    let written: String =
        printed.lines().filter(|line| !is_default(line)).map(|line| format!("{line}\n")).collect();
    assert_eq!(written, EVERYTHING, "{printed}");
    let (main, rest) = printed.split_once("\n<VirtualHost").unwrap();
    let (_, targets) = rest.split_once("\ntarget ").unwrap();
    for directive in DIRECTIVES.iter().filter(|directive| !directive.default.is_empty()) {
        let name = directive.name.to_str().unwrap();
        let shown = main.contains(&format!("\n  {name} ")) || name == "MirrorRequest";
        assert!(shown, "{name} in\n{main}");
    }
    for (key, _, default, _) in TARGET_KEYS {
        let is_value = !default.is_empty() && !default.starts_with('`') && key != "name";
        let shown = targets.contains(&format!("\n  {key}={default} (default)\n"));
        assert!(shown == is_value, "{key} in\n{targets}");
    }
}

/// What is printed of that, defaults aside.
const EVERYTHING: &str = "\
mod_copy configuration:
main server production.test
  CopyTimeout 4s (global.conf:4)
  CopyMemory 128M (global.conf:1)
  CopyMask query token (global.conf:5)
  CopyMaskKeyFile mask.key (global.conf:2)
  CopyTLSCACertificateFile ca.pem (global.conf:6)
  copies nothing
<VirtualHost 127.0.0.1:PORT> www.example.com
  CopyTimeout 4s (global.conf:4)
  CopyReceiveBufferSize 4096 (ProxyReceiveBufferSize)
  CopyPreserveHost On (ProxyPreserveHost)
  CopyBodyLimit 64K (vhost.conf:20)
  CopyMask query token (global.conf:5)
  CopyMask standard (vhost.conf:19)
  CopyTLSCACertificateFile ca.pem (global.conf:6)
  copies to next (vhost.conf:7)
    methods=GET,HEAD (vhost.conf:7)
    sample=10% (vhost.conf:7)
  copies to farm (vhost.conf:9)
    env=beta (vhost.conf:9)
  copies to tls (vhost.conf:10)
    rate=500/s (vhost.conf:10)
  <Location \"/login\"> (vhost.conf:21)
    copies nothing: MirrorRequest Off (vhost.conf:22)
  <Location \"/search\"> (vhost.conf:24)
    CopyPreserveHost Off (vhost.conf:27)
    CopyBodyLimit 0 (vhost.conf:26)
    copies to next (vhost.conf:25)
      methods=GET,HEAD (vhost.conf:7)
      sample=50% (vhost.conf:25)
      expr=req('X-Tenant') == 'a' (vhost.conf:25)
    copies to farm (vhost.conf:25)
      sample=50% (vhost.conf:25)
      expr=req('X-Tenant') == 'a' (vhost.conf:25)
  <Location \"/search\"> <If \"%{QUERY_STRING} == 'x'\"> (vhost.conf:28)
    CopyAddHeaders Off (vhost.conf:29)
    copies to next (vhost.conf:25)
      methods=GET,HEAD (vhost.conf:7)
      sample=50% (vhost.conf:25)
      expr=req('X-Tenant') == 'a' (vhost.conf:25)
    copies to farm (vhost.conf:25)
      sample=50% (vhost.conf:25)
      expr=req('X-Tenant') == 'a' (vhost.conf:25)
  <Directory \"/srv/x\"> (vhost.conf:33)
    copies to http://127.0.0.1:4/ (vhost.conf:34)
      body=off (vhost.conf:34)
<VirtualHost 127.0.0.1:4444> plain.example.com (tail.conf:1)
  copies nothing
target next http://127.0.0.1:2/v1 (vhost.conf:7)
  max=5 (vhost.conf:7)
  proxy=http://***@127.0.0.1:9/ (vhost.conf:7)
  masks of 5 rules
target farm balancer://farm/ (vhost.conf:9)
  failures=0 (vhost.conf:9)
  masks of 5 rules
target tls https://127.0.0.1:3/ (vhost.conf:10)
  timeout=2s (vhost.conf:10)
  CopyAddHeaders Off (vhost.conf:12)
  CopyMask json $.user.email hash (vhost.conf:11)
  CopyTLSVerify Off (vhost.conf:13)
  CopyTLSCertificateFile client.pem (vhost.conf:14)
  CopyTLSCertificateKeyFile client.key (vhost.conf:15)
  RequestHeader changes its copies (vhost.conf:10)
  masks of 6 rules
target http://127.0.0.1:4/ (vhost.conf:34)
  masks of 5 rules
";

#[test]
fn what_a_section_has_of_mod_proxy_holds_where_nobody_says_otherwise() {
    let vhost = "\
CopyTarget http://127.0.0.1:2/ name=next
<Location \"/a\">
    ProxyPreserveHost On
    CopyAddHeaders Off
</Location>
<Location \"/b\">
    ProxyPreserveHost On
    CopyPreserveHost Off
</Location>
";
    let proxied = site("", vhost, "").modules(&["proxy"]);
    let printed = dump(&proxied);
    let of = |title: &str| {
        let (_, section) = printed.split_once(title).unwrap();
        section.lines().skip(1).take_while(|line| line.starts_with("    ")).collect::<Vec<_>>()
    };
    let copies = ["    copies to next (vhost.conf:1)", "      every request (default)"];
    let proxys = "    CopyPreserveHost On (ProxyPreserveHost)";
    let own = "    CopyAddHeaders Off (vhost.conf:4)";
    assert_eq!(of("<Location \"/a\">"), [&[proxys, own][..], &copies].concat(), "{printed}");
    let own = "    CopyPreserveHost Off (vhost.conf:8)";
    assert_eq!(of("<Location \"/b\">"), [&[own][..], &copies].concat(), "{printed}");
    assert!(printed.contains("  CopyTimeout 5s (default)"), "{printed}");
    let builder = site("ProxyTimeout 7\nCopyPreserveHost Off", vhost, "").modules(&["proxy"]);
    let printed = dump(&builder);
    assert!(printed.contains("  CopyTimeout 7s (ProxyTimeout)"), "{printed}");
    assert!(!printed.contains("ProxyPreserveHost)"), "{printed}");
}

#[test]
fn what_is_inherited_has_the_origin_where_it_is_written() {
    let global = "\
CopyTarget http://127.0.0.1:2/ name=next sample=10%
CopyTarget http://127.0.0.1:3/ name=other
MirrorRequest next rate=5/s
<Location \"/off\">
    MirrorRequest Off
</Location>
";
    let vhost = "\
MirrorRequest Off
<Location \"/on\">
    MirrorRequest On
</Location>
<Location \"/other\">
    MirrorRequest other
</Location>
";
    let printed = dump(&site(global, vhost, ""));
    let [_, main] = printed.split("main server production.test").collect::<Vec<_>>()[..] else {
        panic!("{printed}")
    };
    let (main, vhost) = main.split_once("<VirtualHost").unwrap();
    let facts = |text: &str| {
        let lines = text.lines().skip_while(|line| !line.contains("copies "));
        let lines = lines.take_while(|line| line.starts_with(' '));
        lines.map(|line| line.trim_start().to_owned()).collect::<Vec<_>>()
    };
    let next = [
        "copies to next (global.conf:3)",
        "sample=10% (global.conf:1)",
        "rate=5/s (global.conf:3)",
    ];
    let off = [
        "<Location \"/off\"> (global.conf:4)",
        "copies nothing: MirrorRequest Off (global.conf:5)",
    ];
    assert_eq!(facts(main), [&next[..], &off].concat(), "{printed}");
    let on =
        ["copies nothing: MirrorRequest Off (vhost.conf:1)", "<Location \"/on\"> (vhost.conf:2)"];
    let other = [
        "<Location \"/other\"> (vhost.conf:5)",
        "copies to other (vhost.conf:6)",
        "every request (default)",
    ];
    assert_eq!(facts(vhost), [&on[..], &next, &other].concat(), "{printed}");
}

#[test]
fn a_control_is_named_with_the_targets_beside_which_it_gets_copies() {
    let vhost = "\
CopyControl http://127.0.0.1:2
CopyTarget http://127.0.0.1:3/ name=next
<CopyTarget http://127.0.0.1:4/ name=other>
    CopyMask query token
</CopyTarget>
<CopyTarget http://127.0.0.1:5/ name=third>
    CopyControl \"http://127.0.0.1:6/today\"
</CopyTarget>
";
    let printed = dump(&site("", vhost, ""));
    let controls: Vec<&str> = printed.lines().filter(|line| line.starts_with("control ")).collect();
    let expected = [
        "control http://127.0.0.1:2/ beside next, other (vhost.conf:1)",
        "control http://127.0.0.1:6/today beside third (vhost.conf:7)",
    ];
    assert_eq!(controls, expected, "{printed}");
    assert_eq!(printed.matches("\ntarget ").count(), 3, "{printed}");
}

#[test]
fn it_is_printed_where_it_is_asked_for_and_the_configuration_is_right() {
    let builder = site("", "CopyTarget http://127.0.0.1:2/ name=next", "");
    assert_eq!(printed(&builder, &["-t"]), "");
    assert!(printed(&builder, &["-t", "-D", "DUMP_COPY"]).contains("\ntarget next http"));
    let vhosts = ask(builder.root(), &["-D", "DUMP_COPY", "-S"]).stdout;
    let vhosts = String::from_utf8(vhosts).unwrap();
    assert!(vhosts.contains("VirtualHost configuration:") && vhosts.contains("\ntarget next http"));
    let wrong = site("", "MirrorRequest nowhere", "");
    wrong.write();
    let told = ask(wrong.root(), &["-t", "-D", "DUMP_COPY"]);
    assert!(!told.status.success() && told.stdout.is_empty());
}
