//! The places of production's configuration, each one what some rows of the table need.

use std::fmt::Write as _;

use super::production::{Doors, Site};
use super::row::Door;
use crate::staging::Staging;

/// What the main virtual host has, with the module and without.
pub fn places(site: &Site, root: &str) -> String {
    let (htdocs, users) = (site.path("htdocs"), site.path("users"));
    let backends = &site.backends;
    let (origin, fastcgi) = (backends.origin.url("/"), backends.fastcgi);
    let (tunnels, gate, dead) = (backends.tunnels, backends.gate.port, backends.dead);
    let basic =
        format!("AuthType Basic\nAuthName \"test\"\nAuthUserFile \"{users}\"\nRequire valid-user");
    let locations = [
        ("/proxy/", format!("ProxyPass \"{origin}\"")),
        ("/proxy/inflate/", "SetInputFilter DEFLATE".to_owned()),
        ("/proxy/limited/", "LimitRequestBody 100".to_owned()),
        ("/cached/", format!("ProxyPass \"{origin}cached/\"\nCacheEnable disk")),
        ("/fcgi/", format!("ProxyPass \"fcgi://127.0.0.1:{fastcgi}/\"")),
        ("/dead/", format!("ProxyPass \"http://127.0.0.1:{dead}/\" retry=0")),
        ("/ws/", format!("ProxyPass \"ws://127.0.0.1:{tunnels}/\"")),
        ("/upgrade/", format!("ProxyPass \"http://127.0.0.1:{tunnels}/\" upgrade=websocket")),
        ("/gate/", format!("ProxyPass \"http://127.0.0.1:{gate}/\"")),
        ("/dav/", "Dav On\nFileETag None".to_owned()),
        ("/private/", "Require all denied".to_owned()),
        ("/login/", basic),
        ("/limited/", "LimitRequestBody 100".to_owned()),
        ("/errdoc/cgi", "ErrorDocument 404 /cgi/echo".to_owned()),
        ("/deflate/", "SetOutputFilter DEFLATE".to_owned()),
        ("/ratelimited/", "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 4".to_owned()),
        ("/no-post/", "AllowMethods GET".to_owned()),
        (
            "/form/",
            format!(
                "AuthType form\nAuthName \"test\"\nAuthFormProvider file\nAuthUserFile \"{users}\"\n\
                 Require valid-user\nKeptBodySize 1024"
            ),
        ),
        (
            "/sec/",
            "SecRuleEngine On\nSecRequestBodyAccess On\n\
             SecRule REQUEST_BODY \"attack\" \"id:1,phase:2,deny,status:403\""
                .to_owned(),
        ),
        ("/copy-status", "SetHandler copy-status".to_owned()),
    ];
    let mut text = format!(
        "ErrorDocument 404 /errors/404.html\nScriptAlias \"/cgi/\" \"{cgi}/\"\nScriptAlias \"/form/\" \"{cgi}/\"\n\
         Alias \"/dav/\" \"{root}/dav/\"\nRedirect 301 \"/moved\" \"http://elsewhere.test/\"\n\
         Redirect gone \"/gone\"\nAddType text/html .html\nAddType text/plain .txt\n\
         <Directory \"{htdocs}/docs\">\nOptions +MultiViews +FollowSymLinks\nAllowOverride FileInfo\n</Directory>\n\
         <Directory \"{htdocs}/ssi\">\nOptions +Includes\nAddType text/html .shtml\n\
         AddOutputFilter INCLUDES .shtml\nKeptBodySize 1024\n</Directory>\n\
         AliasMatch \"^/conditions/\" \"{htdocs}/a.html\"\nSetEnvIf X-Tenant ^a$ tenant\n\
         RewriteEngine On\nRewriteRule \"^/unavailable$\" \"-\" [R=503]\nRewriteRule \"^/forbidden$\" \"-\" [F]\n",
        cgi = site.path("cgi")
    );
    for (path, lines) in locations {
        write!(text, "<Location \"{path}\">\n{lines}\n</Location>\n").unwrap();
    }
    text
}

/// The line that copies a virtual host's requests.
fn main_target(staging: &Staging) -> String {
    format!("CopyTarget {} name=main max=1", staging.url("/"))
}

/// A condition on three fields, each looked at in another way.
const EXPRESSION: &str = "\"expr=req('X-Tenant') == 'a' && %{HTTP:Accept-Language} =~ /^de/ && \
                          %{HTTP_COOKIE} =~ /plan=pro/\"";

/// What the main virtual host has where the module is loaded: places that are copied in another way.
pub fn copying(staging: &Staging, own: &str) -> String {
    let to = |path: &str, name: &str| format!("CopyTarget {} name={name} max=1", staging.url(path));
    let locations = [
        ("/proxy/to/prefix", to("/v1", "prefix")),
        ("/proxy/to/slash", to("/v1/", "slash")),
        ("/proxy/to/replace", to("/sink path=replace", "replace")),
        ("/proxy/to/root", to("/ path=replace", "root")),
        ("/proxy/preserve/", "CopyPreserveHost On".to_owned()),
        ("/proxy/bare/", "CopyAddHeaders Off".to_owned()),
        ("/proxy/off/", "MirrorRequest Off".to_owned()),
        ("/proxy/limit/", "CopyBodyLimit 1K".to_owned()),
        ("/conditions/expr", format!("MirrorRequest main {EXPRESSION}")),
        ("/conditions/key", "MirrorRequest main sample=50% samplekey=%{HTTP:X-Key}".to_owned()),
        ("/conditions/env", "MirrorRequest main env=tenant".to_owned()),
        ("/conditions/not-env", "MirrorRequest main env=!tenant".to_owned()),
        ("/conditions/reading", "MirrorRequest main methods=GET,HEAD body=off".to_owned()),
        ("/proxy/bodiless/", "CopyBodyLimit 0".to_owned()),
        ("/proxy/huge/", "CopyBodyLimit 200M".to_owned()),
        ("/proxy/loop/", format!("CopyTarget {own} name=itself max=1")),
    ];
    let mut text = main_target(staging) + "\n";
    for (path, lines) in locations {
        write!(text, "<Location \"{path}\">\n{lines}\n</Location>\n").unwrap();
    }
    text
}

/// Further virtual hosts of the main port.
pub fn named_hosts(site: &Site, port: u16, staging: Option<&Staging>) -> String {
    let origin = site.backends.origin.url("");
    let copy = staging.map(main_target).unwrap_or_default();
    let off = staging.map_or("", |_| "MirrorRequest Off");
    let hosts = [
        ("slashes-on.example.com", "AllowEncodedSlashes On".to_owned()),
        ("slashes-kept.example.com", "AllowEncodedSlashes NoDecode".to_owned()),
        ("cached.example.com", "CacheEnable disk \"/\"".to_owned()),
        ("apart.example.com", "MergeSlashes Off".to_owned()),
        (
            "quick.example.com",
            format!("CacheEnable disk \"/\"\n<Location \"/off/\">\n{off}\n</Location>"),
        ),
    ];
    hosts
        .map(|(name, lines)| {
            format!(
                "<VirtualHost 127.0.0.1:{port}>\nServerName {name}\nCustomLog access.log account\n\
             ProxyPass \"/\" \"{origin}/\" nocanon\n{lines}\n{copy}\n\
             </VirtualHost>\n"
            )
        })
        .concat()
}

/// The virtual hosts of the other ports.
pub fn doors(site: &Site, doors: &Doors, staging: Option<&Staging>) -> String {
    let copy = staging.map(main_target).unwrap_or_default();
    let origin = site.backends.origin.url("/");
    let (users, certificate, key) =
        (site.path("users"), site.path("certificate.pem"), site.path("key.pem"));
    let tls = format!(
        "SSLEngine On\nSSLProtocol TLSv1.2\nSSLCertificateFile \"{certificate}\"\nSSLCertificateKeyFile \"{key}\"\n\
         SSLCACertificateFile \"{certificate}\"\n<Location \"/asked/\">\nSSLVerifyClient optional_no_ca\n</Location>\n\
         <Location \"/asked/front\">\nRewriteEngine On\nRewriteRule \".*\" \"/behind\"\n</Location>\n\
         ProxyPass \"/asked/front\" \"!\"\nProxyPass \"/\" \"{origin}\""
    );
    let forward = format!(
        "ProxyRequests On\nAllowCONNECT {}\n<Proxy \"*\">\nAuthType Basic\nAuthName \"test\"\n\
         AuthUserFile \"{users}\"\nRequire valid-user\n</Proxy>",
        site.backends.tunnels
    );
    let impatient = format!("RequestReadTimeout header=1 body=1\nProxyPass \"/\" \"{origin}\"");
    let hosts = [(Door::Tls, tls), (Door::Forward, forward), (Door::Impatient, impatient)];
    hosts.map(|(door, lines)| {
        let port = doors.port(door);
        format!(
            "Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\nServerName www.example.com\n\
             CustomLog access.log account\n{lines}\n\
             {copy}\n</VirtualHost>\n"
        )
    })
    .concat()
}
