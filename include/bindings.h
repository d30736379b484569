/* Every httpd and APR header that the module relies on: its whole C contract. */
#include <httpd.h>
#include <ap_expr.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>
#include <scoreboard.h>
#include <unixd.h>
#include <util_filter.h>
#include <ap_mmn.h>
#include <ap_mpm.h>
#include <apr_errno.h>
#include <apr_general.h>
#include <apr_hooks.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <mod_proxy.h>
#include <mod_status.h>

#include "shims.h"
