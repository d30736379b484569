//! Lines that are wrong, and what is said of them.

/// Lines that are wrong by themselves: httpd reports them with the file and the last line read.
pub const WRONG_LINES: &[(&str, &str)] = &[
    (
        "CopyCompare",
        "CopyCompare: expected Off, or some of status, headers and body, found nothing",
    ),
    (
        "CopyCompare On",
        "CopyCompare: expected Off, or some of status, headers and body, found 'On'",
    ),
    (
        "CopyCompare body sample=200%",
        "CopyCompare: sample=: expected a share from 0.001% to 100% with at most 3 decimals, found '200%'",
    ),
    (
        "CopyCompareIgnore",
        "CopyCompareIgnore: expected header:NAME, json:PATH, order:PATH or regex:EXPRESSION, found nothing",
    ),
    (
        "CopyCompareIgnore header:Date json:timestamp",
        "CopyCompareIgnore: expected a path that begins with $, as $.items[*].price, found 'json:timestamp'",
    ),
    (
        "CopyCompareIgnore regex:(",
        "CopyCompareIgnore: expected a regular expression after regex: (unclosed group), found 'regex:('",
    ),
    (
        "CopyCompareLimit 1G",
        "CopyCompareLimit: expected a size from 1K to 16M, as 65536, 64K or 1M, found '1G'",
    ),
    (
        "CopyCompareThreshold differ=1",
        "CopyCompareThreshold: expected a share from 0% to 100%, as 1% or 0.05%, found 'differ=1'",
    ),
    (
        "CopyCompareThreshold",
        "CopyCompareThreshold: expected differ=PERCENT%, slower=PERCENT% or least=NUMBER, found nothing",
    ),
    (
        "CopyControl balancer://today",
        "CopyControl: expected the URL of one server, found 'balancer://today'",
    ),
    (
        "CopyControl today.example.com",
        "CopyControl: expected a URL with its scheme, as http://host[:port][/path], found 'today.example.com'",
    ),
    (
        "CopyTarget",
        "CopyTarget: expected a URL with its scheme, as http://host[:port][/path], found nothing",
    ),
    (
        "CopyTarget staging.internal.net/api/v1",
        "CopyTarget: expected a URL with its scheme, as http://host[:port][/path], found 'staging.internal.net/api/v1'",
    ),
    (
        "CopyTarget /api",
        "CopyTarget: expected a URL with its scheme, as http://host[:port][/path], found '/api'",
    ),
    (
        "CopyTarget ftp://staging/",
        "CopyTarget: expected the scheme http, https, h2c, h2 or balancer, found 'ftp://staging/'",
    ),
    (
        "CopyTarget http:///api",
        "CopyTarget: expected a URL of the form http://host[:port][/path], found 'http:///api'",
    ),
    (
        "CopyTarget \"http://sta ging/\"",
        "CopyTarget: expected a URL of the form http://host[:port][/path], found 'http://sta ging/'",
    ),
    (
        "CopyTarget http://staging:0/",
        "CopyTarget: expected a port from 1 to 65535, found 'http://staging:0/'",
    ),
    (
        "CopyTarget h2c://staging:0/",
        "CopyTarget: expected a port from 1 to 65535, found 'h2c://staging:0/'",
    ),
    (
        "CopyTarget h2c://staging/?x=1",
        "CopyTarget: expected a URL without query and fragment, found 'h2c://staging/?x=1'",
    ),
    (
        "CopyTarget http2://staging/",
        "CopyTarget: expected the scheme http, https, h2c, h2 or balancer, found 'http2://staging/'",
    ),
    (
        "CopyTarget http://staging:65536/",
        "CopyTarget: expected a port from 1 to 65535, found 'http://staging:65536/'",
    ),
    (
        "CopyTarget http://staging/?x=1",
        "CopyTarget: expected a URL without query and fragment, found 'http://staging/?x=1'",
    ),
    (
        "CopyTarget http://staging/ speed=9",
        "CopyTarget: expected one of the keys name=, min=, max=, timeout=, connectiontimeout=, ttl=, queue=, \
         failures=, retry=, path=, bindaddress=, proxy=, status=, methods=, body=, sample=, samplekey=, env=, expr=, rate=, adapt=, found 'speed=9'",
    ),
    (
        "CopyTarget http://staging/ On",
        "CopyTarget: expected one of the keys name=, min=, max=, timeout=, connectiontimeout=, ttl=, queue=, \
         failures=, retry=, path=, bindaddress=, proxy=, status=, methods=, body=, sample=, samplekey=, env=, expr=, rate=, adapt=, found 'On'",
    ),
    (
        "CopyTarget \"unix:/run/app.sock\"",
        "CopyTarget: expected a Unix socket as unix:/path|http://host[/path], found 'unix:/run/app.sock'",
    ),
    (
        "CopyTarget \"unix:run/app.sock|http://localhost/\"",
        "CopyTarget: expected a Unix socket as unix:/path|http://host[/path], found 'unix:run/app.sock|http://localhost/'",
    ),
    (
        "CopyTarget \"unix:/run/app.sock|fcgi://localhost/\"",
        "CopyTarget: expected the scheme http, https, h2c, h2 or balancer, found 'unix:/run/app.sock|fcgi://localhost/'",
    ),
    (
        "CopyTarget http://staging/ bindaddress=eth1",
        "CopyTarget: bindaddress=: expected an IPv4 or IPv6 address, found 'eth1'",
    ),
    (
        "CopyTarget http://staging/ bindaddress=[::1]",
        "CopyTarget: bindaddress=: expected an IPv4 or IPv6 address, found '[::1]'",
    ),
    (
        "CopyTarget http://10.9.0.2/ bindaddress=::1",
        "CopyTarget: expected an IPv4 bindaddress= for an IPv4 target, found '::1'",
    ),
    (
        "CopyTarget http://[::1]/ bindaddress=10.9.0.1",
        "CopyTarget: expected an IPv6 bindaddress= for an IPv6 target, found '10.9.0.1'",
    ),
    (
        "CopyTarget \"unix:/run/app.sock|http://localhost/\" bindaddress=10.9.0.1",
        "CopyTarget: expected no bindaddress= for a Unix socket, found '10.9.0.1'",
    ),
    (
        "CopyTarget http://staging/ proxy=proxy.internal.net:3128",
        "CopyTarget: proxy=: expected a proxy as http://[user:password@]host:port or \
         socks5://[user:password@]host:port, found 'proxy.internal.net:3128'",
    ),
    (
        "CopyTarget http://staging/ proxy=https://user:password@proxy.internal.net:3128",
        "CopyTarget: proxy=: expected a proxy as http://[user:password@]host:port or \
         socks5://[user:password@]host:port, found 'https://***@proxy.internal.net:3128'",
    ),
    (
        "CopyTarget http://staging/ proxy=user:password@proxy.internal.net:3128",
        "CopyTarget: proxy=: expected a proxy as http://[user:password@]host:port or \
         socks5://[user:password@]host:port, found '***@proxy.internal.net:3128'",
    ),
    (
        "CopyTarget http://staging/ proxy=\"http://user:pass word@proxy.internal.net\"",
        "CopyTarget: proxy=: expected a proxy as http://[user:password@]host:port or \
         socks5://[user:password@]host:port, found 'http://***@proxy.internal.net'",
    ),
    (
        "CopyTarget http://staging/ proxy=socks5://user:@proxy.internal.net:1080",
        "CopyTarget: proxy=: expected a user without : and a password of 1 to 255 bytes each, others than letters and \
         digits as %XX, found 'socks5://***@proxy.internal.net:1080'",
    ),
    (
        "CopyTarget \"unix:/run/app.sock|http://localhost/\" proxy=http://user:password@proxy:3128",
        "CopyTarget: expected no proxy= for a Unix socket, found 'http://proxy:3128'",
    ),
    (
        "CopyReceiveBufferSize 511",
        "CopyReceiveBufferSize: expected 0, or a size from 512 to 1G, as 65536, 64K or 1M, found '511'",
    ),
    ("CopyReceiveBufferSize", "CopyReceiveBufferSize: expected one size, found nothing"),
    ("CopyTarget http://staging/ max=3 max=4", "CopyTarget: expected max= once, found 'max=4'"),
    (
        "CopyTarget http://staging/ min=9 max=3",
        "CopyTarget: expected min= no greater than max=, found 'min=9 max=3'",
    ),
    (
        "CopyTarget http://staging/ min=0",
        "CopyTarget: min=: expected a number from 1 to 10000, found '0'",
    ),
    (
        "CopyTarget http://staging/ max=ten",
        "CopyTarget: max=: expected a number from 1 to 10000, found 'ten'",
    ),
    (
        "CopyTarget http://staging/ queue=0",
        "CopyTarget: queue=: expected a number from 1 to 1000000, found '0'",
    ),
    (
        "CopyTarget http://staging/ timeout=fast",
        "CopyTarget: timeout=: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found 'fast'",
    ),
    (
        "CopyTarget http://staging/ connectiontimeout=",
        "CopyTarget: connectiontimeout=: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found nothing",
    ),
    (
        "CopyTarget http://staging/ ttl=2d",
        "CopyTarget: ttl=: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found '2d'",
    ),
    (
        "CopyTarget http://staging/ failures=-1",
        "CopyTarget: failures=: expected a number from 0 to 10000, found '-1'",
    ),
    (
        "CopyTarget http://staging/ failures=10001",
        "CopyTarget: failures=: expected a number from 0 to 10000, found '10001'",
    ),
    (
        "CopyTarget http://staging/ failures",
        "CopyTarget: failures=: expected a number from 0 to 10000, found nothing",
    ),
    (
        "CopyTarget http://staging/ retry=0",
        "CopyTarget: retry=: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found '0'",
    ),
    (
        "CopyTarget http://staging/ retry=never",
        "CopyTarget: retry=: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found 'never'",
    ),
    (
        "CopyTarget http://staging/ path=cut",
        "CopyTarget: path=: expected append or replace, found 'cut'",
    ),
    (
        "CopyTarget http://staging/ name=off",
        "CopyTarget: name=: expected 1 to 64 letters, digits, -, _ or ., and not On or Off, found 'off'",
    ),
    (
        "CopyTarget http://staging/ name=a/b",
        "CopyTarget: name=: expected 1 to 64 letters, digits, -, _ or ., and not On or Off, found 'a/b'",
    ),
    (
        "CopyLog",
        "CopyLog: expected a file or |program, then perhaps errors, all, compared or differing, then perhaps a format, found nothing",
    ),
    (
        "CopyLog a all %m %U",
        "CopyLog: expected a file or |program, then perhaps errors, all, compared or differing, then perhaps a format, found 'a all %m %U'",
    ),
    ("CopyLog |", "CopyLog: expected a program after the |, found '|'"),
    (
        "CopyLog a combined",
        "CopyLog: expected errors, all, compared, differing, json, or a format with %, found 'combined'",
    ),
    (
        "CopyLog a %u",
        "CopyLog: expected one of %a, %h, %v, %t, %m, %U, %q, %r, %s, %>s, %D, %T, %b, %B, %I, %O, %P, %L, %% and %{NAME}copy, found '%u'",
    ),
    ("CopyLog a %{User-Agent}i", "CopyLog: expected %{NAME}copy, found '%{User-Agent}i'"),
    (
        "CopyLog a %{speed}copy",
        "CopyLog: expected one of target, outcome, reason, status, production-status, wait, connect, exchange, production, sent, received, id, time, server, pid, verdict, route, differences in %{NAME}copy, found '%{speed}copy'",
    ),
    (
        "MirrorRequest",
        "MirrorRequest: expected On, Off, or the URLs and names of targets, found nothing",
    ),
    (
        "MirrorRequest a On",
        "MirrorRequest: expected On or Off alone, or a list of targets, found 'a On'",
    ),
    (
        "MirrorRequest staging.internal.net/api",
        "MirrorRequest: expected a URL with its scheme, as http://host[:port][/path], found 'staging.internal.net/api'",
    ),
    (
        "CopyTarget http://s/ methods=",
        "CopyTarget: methods=: expected methods, as GET,HEAD, found nothing",
    ),
    (
        "CopyTarget http://s/ \"methods=GET HEAD\"",
        "CopyTarget: methods=: expected methods, as GET,HEAD, found 'GET HEAD'",
    ),
    ("CopyTarget http://s/ body=maybe", "CopyTarget: body=: expected on or off, found 'maybe'"),
    (
        "CopyTarget http://s/ sample=10",
        "CopyTarget: sample=: expected a share from 0.001% to 100% with at most 3 decimals, found '10'",
    ),
    (
        "CopyTarget http://s/ sample=0.0005%",
        "CopyTarget: sample=: expected a share from 0.001% to 100% with at most 3 decimals, found '0.0005%'",
    ),
    (
        "CopyTarget http://s/ sample=101%",
        "CopyTarget: sample=: expected a share from 0.001% to 100% with at most 3 decimals, found '101%'",
    ),
    (
        "CopyTarget http://s/ sample=1% sample=2%",
        "CopyTarget: expected sample= once, found 'sample=2%'",
    ),
    (
        "CopyTarget http://s/ samplekey=",
        "CopyTarget: samplekey=: expected an expression, found nothing",
    ),
    (
        "CopyTarget http://s/ samplekey=\"%{NOSUCH}\"",
        "CopyTarget: samplekey=: Variable 'NOSUCH' does not exist, in '%{NOSUCH}'",
    ),
    (
        "CopyTarget http://s/ env=",
        "CopyTarget: env=: expected a variable's name, perhaps after !, found nothing",
    ),
    (
        "CopyTarget http://s/ env=!",
        "CopyTarget: env=: expected a variable's name, perhaps after !, found '!'",
    ),
    ("CopyTarget http://s/ env=A env=B", "CopyTarget: expected env= once, found 'env=B'"),
    (
        "CopyTarget http://s/ env=A expr=true",
        "CopyTarget: expected one condition, env= or expr=, found 'true'",
    ),
    ("CopyTarget http://s/ expr=", "CopyTarget: expr=: expected an expression, found nothing"),
    (
        "CopyTarget http://s/ \"expr=%{REQUEST_URI} ==\"",
        "CopyTarget: expr=: syntax error, unexpected $end, in '%{REQUEST_URI} =='",
    ),
    (
        "CopyTarget http://s/ \"expr=%{REQUEST_URI} =~ m#(#\"",
        "CopyTarget: expr=: Failed to compile regular expression, in '%{REQUEST_URI} =~ m#(#'",
    ),
    (
        "CopyTarget http://s/ \"expr=-R '10.0.0.0/99'\"",
        "CopyTarget: expr=: parsing of subnet/netmask failed, in '-R '10.0.0.0/99''",
    ),
    (
        "CopyTarget http://s/ \"expr=-F %{REQUEST_URI}\"",
        "CopyTarget: expr=: -F, -U and -A run subrequests, for which production would wait, in '-F %{REQUEST_URI}'",
    ),
    (
        "CopyTarget http://s/ \"expr=-U %{REQUEST_URI}\"",
        "CopyTarget: expr=: -F, -U and -A run subrequests, for which production would wait, in '-U %{REQUEST_URI}'",
    ),
    (
        "CopyTarget http://s/ \"expr=-A %{REQUEST_URI}\"",
        "CopyTarget: expr=: -F, -U and -A run subrequests, for which production would wait, in '-A %{REQUEST_URI}'",
    ),
    (
        "CopyTarget http://s/ \"expr=-f %{REQUEST_FILENAME}\"",
        "CopyTarget: expr=: -f not available in restricted context, in '-f %{REQUEST_FILENAME}'",
    ),
    (
        "CopyTarget http://s/ \"expr=file('/a') == 'a'\"",
        "CopyTarget: expr=: file not available in restricted context, in 'file('/a') == 'a''",
    ),
    (
        "CopyTarget http://s/ \"expr=%{REMOTE_HOST} == 'a'\"",
        "CopyTarget: expr=: REMOTE_HOST and REMOTE_IDENT ask over the network, for which production would wait, in '%{REMOTE_HOST} == 'a''",
    ),
    (
        "CopyTarget http://s/ samplekey=%{SCRIPT_USER}",
        "CopyTarget: samplekey=: SCRIPT_USER and SCRIPT_GROUP ask the system's name service, for which production would wait, in '%{SCRIPT_USER}'",
    ),
    (
        "CopyTarget http://s/ rate=500",
        "CopyTarget: rate=: expected a rate from 1/s to 1000000/s, found '500'",
    ),
    (
        "CopyTarget http://s/ rate=0/s",
        "CopyTarget: rate=: expected a rate from 1/s to 1000000/s, found '0/s'",
    ),
    (
        "CopyTarget http://s/ rate=10/min",
        "CopyTarget: rate=: expected a rate from 1/s to 1000000/s, found '10/min'",
    ),
    ("CopyTarget http://s/ adapt=yes", "CopyTarget: adapt=: expected on or off, found 'yes'"),
    (
        "MirrorRequest On sample=10%",
        "MirrorRequest: expected On or Off alone, or a list of targets, found 'On sample=10%'",
    ),
    (
        "MirrorRequest sample=10%",
        "MirrorRequest: expected the URL or name of a target for the rule, found 'sample=10%'",
    ),
    (
        "MirrorRequest http://s/ max=3",
        "MirrorRequest: expected one of the keys methods=, body=, sample=, samplekey=, env=, expr=, rate=, adapt=, found 'max=3'",
    ),
    (
        "MirrorRequest http://s/ methods=GET,",
        "MirrorRequest: methods=: expected methods, as GET,HEAD, found 'GET,'",
    ),
    (
        "MirrorRequest http://s/ expr=%{NOSUCH}",
        "MirrorRequest: expr=: syntax error, unexpected $end: Variable 'NOSUCH' does not exist, in '%{NOSUCH}'",
    ),
    (
        "CopyTimeout soon",
        "CopyTimeout: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found 'soon'",
    ),
    (
        "CopyTimeout 0",
        "CopyTimeout: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found '0'",
    ),
    ("CopyTimeout 1 2", "CopyTimeout: expected one time, found '1 2'"),
    ("CopyTimeout", "CopyTimeout: expected one time, found nothing"),
    (
        "CopyConnectTimeout -1",
        "CopyConnectTimeout: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found '-1'",
    ),
    ("CopyPreserveHost maybe", "CopyPreserveHost: expected On or Off, found 'maybe'"),
    ("CopyPreserveHost On Off", "CopyPreserveHost: expected On or Off, found 'On Off'"),
    ("CopyAddHeaders 1", "CopyAddHeaders: expected On or Off, found '1'"),
    (
        "CopyMask body password",
        "CopyMask: expected standard, query, form, json, cookie or header, found 'body'",
    ),
    (
        "CopyTraceHeader",
        "CopyTraceHeader: expected a field's name, as X-Shadow or \"X-Shadow: 1\", found nothing",
    ),
    (
        "CopyTraceHeader \"X Shadow: 1\"",
        "CopyTraceHeader: expected a field's name, as X-Shadow or \"X-Shadow: 1\", found 'X Shadow'",
    ),
    (
        "CopyTraceHeader Host:a",
        "CopyTraceHeader: expected the name of a field that copies do not have already, found 'Host'",
    ),
    (
        "CopyTraceHeader traceparent",
        "CopyTraceHeader: expected the name of a field that copies do not have already, found 'traceparent'",
    ),
    (
        "CopyTraceHeader tracestate: shadow",
        "CopyTraceHeader: expected a member for tracestate, as \"tracestate: copy=1\", found 'shadow'",
    ),
    ("CopyManagerOpen yes", "CopyManagerOpen: expected On or Off, found 'yes'"),
    ("CopyMask json", "CopyMask: expected a name to mask, found nothing"),
    ("CopyMask json drop", "CopyMask: expected a name before the action, found 'drop'"),
    ("CopyMask standard json", "CopyMask: expected nothing after standard, found 'json'"),
    (
        "CopyMaskKeyFile /nowhere.key",
        "CopyMaskKeyFile: /nowhere.key: No such file or directory (os error 2)",
    ),
    ("CopyTLSVerify none", "CopyTLSVerify: expected On or Off, found 'none'"),
    ("CopyTLSServerName two names", "CopyTLSServerName: expected one host name, found 'two names'"),
    ("CopyTLSServerName a/b", "CopyTLSServerName: expected a host name, found 'a/b'"),
    ("CopyTLSCACertificateFile", "CopyTLSCACertificateFile: expected one file, found nothing"),
    (
        "CopyTLSCACertificateFile /nowhere.pem",
        "CopyTLSCACertificateFile: /nowhere.pem: No such file or directory (os error 2)",
    ),
    (
        "CopyTLSCertificateFile /dev/null",
        "CopyTLSCertificateFile: /dev/null: expected a certificate in PEM, found none",
    ),
    (
        "CopyTLSCertificateKeyFile /dev/null",
        "CopyTLSCertificateKeyFile: /dev/null: expected a private key in PEM, found none",
    ),
    (
        "CopyBodyLimit 2G",
        "CopyBodyLimit: expected a size from 0 to 1G, as 65536, 64K or 1M, found '2G'",
    ),
    (
        "CopyBodyLimit -1",
        "CopyBodyLimit: expected a size from 0 to 1G, as 65536, 64K or 1M, found '-1'",
    ),
    (
        "CopyMemory 1K",
        "CopyMemory: expected a size from 64K to 64G, as 65536, 64K or 1M, found '1K'",
    ),
    (
        "CopyMemory much",
        "CopyMemory: expected a size from 64K to 64G, as 65536, 64K or 1M, found 'much'",
    ),
    (
        "CopyDNSRefresh never",
        "CopyDNSRefresh: expected a time from 1ms to 24h, as 5, 500ms, 2s or 1min, found 'never'",
    ),
    ("CopyDrainTimeout 7s", "CopyDrainTimeout: expected a time from 1ms to 6s, found '7s'"),
];

/// Groups of lines of which the last is wrong beside the others.
pub const WRONG_TOGETHER: &[(&str, &str)] = &[
    (
        "MirrorRequest Off\nMirrorRequest http://staging/",
        "MirrorRequest: expected no MirrorRequest that contradicts another one in the same scope, \
         found 'http://staging/'",
    ),
    (
        "CopyTarget http://staging/ max=5\nCopyTarget http://staging/ max=6",
        "CopyTarget: expected a name= of its own where the settings differ, found 'http://staging/, which is set \
         otherwise at FILE:1'",
    ),
    (
        "CopyTarget http://staging/ sample=5%\nCopyTarget http://staging/ sample=6%",
        "CopyTarget: expected a name= of its own where the settings differ, found 'http://staging/, which is set \
         otherwise at FILE:1'",
    ),
];

/// Directives in sections they do not belong in; httpd's own words, and the line they are on.
pub const WRONG_CONTEXTS: &[(&str, usize, &str)] = &[
    (
        "<VirtualHost *:80>\nCopyMemory 1M\n</VirtualHost>",
        2,
        "CopyMemory cannot occur within <VirtualHost> section",
    ),
    (
        "<VirtualHost *:80>\nCopyDrainTimeout 1s\n</VirtualHost>",
        2,
        "CopyDrainTimeout cannot occur within <VirtualHost> section",
    ),
    (
        "<VirtualHost *:80>\nCopyDNSRefresh 1s\n</VirtualHost>",
        2,
        "CopyDNSRefresh cannot occur within <VirtualHost> section",
    ),
    (
        "<Location \"/\">\nCopyTimeout 1\n</Location>",
        2,
        "CopyTimeout not allowed in <Location> context",
    ),
    (
        "<Directory \"/\">\nCopyConnectTimeout 1\n</Directory>",
        2,
        "CopyConnectTimeout not allowed in <Directory> context",
    ),
    (
        "<Directory \"/\">\n<Limit GET>\nCopyTarget http://staging/\n</Limit>\n</Directory>",
        3,
        "CopyTarget cannot occur within <Limit> or <LimitExcept> section",
    ),
    (
        "<Directory \"/\">\n<LimitExcept GET>\nMirrorRequest Off\n</LimitExcept>\n</Directory>",
        3,
        "MirrorRequest cannot occur within <Limit> or <LimitExcept> section",
    ),
    ("<Location \"/a\">\nCopyLog a\n</Location>", 2, "CopyLog not allowed in <Location> context"),
    (
        "<Location \"/\">\nCopyMemory 1M\n</Location>",
        2,
        "CopyMemory not allowed in <Location> context",
    ),
];

/// Blocks whose first line is wrong.
pub const WRONG_BLOCKS: &[(&str, &str)] = &[(
    "<CopyTarget http://s/ max=x>\n</CopyTarget>",
    "<CopyTarget: max=: expected a number from 1 to 10000, found 'x'",
)];
