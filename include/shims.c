#include "shims.h"

#include <apr_optional.h>
#include <apr_portable.h>
#include <http_config.h>
#include <http_log.h>
#include <http_protocol.h>
#include <mod_status.h>
#include <string.h>

APLOG_USE_MODULE(copy);

void copy_hook_status(int (*append)(request_rec *request, int flags))
{
    APR_OPTIONAL_HOOK(ap, status_hook, append, NULL, NULL, APR_HOOK_MIDDLE);
}

void copy_log(int level, const server_rec *server, const char *message)
{
    ap_log_error(APLOG_MARK, level, 0, server, "%s", message);
}

int copy_log_level(const server_rec *server)
{
    return ap_get_server_module_loglevel(server, APLOG_MODULE_INDEX);
}

void copy_log_request(int level, const request_rec *request, const char *message)
{
    /* httpd puts the Referer, which may hold a secret in its query, after every line of a request's. */
    request_rec without_fields = *request;
    without_fields.headers_in = apr_table_make(request->pool, 0);
    ap_log_rerror(APLOG_MARK, level, 0, &without_fields, "%s", message);
    /* What %L calls the request was perhaps made now, and holds for the lines to come: httpd keeps it there, too. */
    ((request_rec *)request)->log_id = without_fields.log_id;
}

int copy_request_log_level(const request_rec *request)
{
    return ap_get_request_module_loglevel(request, APLOG_MODULE_INDEX);
}

enum copy_bucket_kind copy_next_bucket(apr_bucket_brigade *brigade, apr_bucket **bucket)
{
    apr_bucket *next = *bucket ? APR_BUCKET_NEXT(*bucket) : APR_BRIGADE_FIRST(brigade);
    *bucket = next;
    if (next == APR_BRIGADE_SENTINEL(brigade)) {
        return COPY_BUCKET_NONE;
    }
    if (APR_BUCKET_IS_EOS(next)) {
        return COPY_BUCKET_EOS;
    }
    if (APR_BUCKET_IS_FLUSH(next)) {
        return COPY_BUCKET_FLUSH;
    }
    if (AP_BUCKET_IS_ERROR(next)) {
        return COPY_BUCKET_ERROR;
    }
    return APR_BUCKET_IS_METADATA(next) ? COPY_BUCKET_METADATA : COPY_BUCKET_DATA;
}

apr_status_t copy_bucket_read(apr_bucket *bucket, const char **data, apr_size_t *length)
{
    return apr_bucket_read(bucket, data, length, APR_BLOCK_READ);
}

int copy_bucket_is_in_memory(const apr_bucket *bucket)
{
    return APR_BUCKET_IS_HEAP(bucket) || APR_BUCKET_IS_TRANSIENT(bucket)
        || APR_BUCKET_IS_IMMORTAL(bucket) || APR_BUCKET_IS_POOL(bucket);
}

int copy_bucket_file(const apr_bucket *bucket)
{
    apr_os_file_t file;
    if (!APR_BUCKET_IS_FILE(bucket)
        || apr_os_file_get(&file, ((apr_bucket_file *)bucket->data)->fd) != APR_SUCCESS) {
        return -1;
    }
    return file;
}

/* As in mod_http2.h, which not every httpd's headers have. */
APR_DECLARE_OPTIONAL_FN(char *, http2_var_lookup,
                        (apr_pool_t *, server_rec *, conn_rec *, request_rec *, char *));

int copy_is_first_stream(request_rec *r)
{
    APR_OPTIONAL_FN_TYPE(http2_var_lookup) *lookup = APR_RETRIEVE_OPTIONAL_FN(http2_var_lookup);
    char name[] = "H2_STREAM_TAG";
    const char *tag = lookup ? lookup(r->pool, r->server, r->connection, r, name) : NULL;
    /* What stands before the stream's number is the connection's, and differs between versions. */
    const char *stream = tag ? strrchr(tag, '-') : NULL;
    return stream && !strcmp(stream, "-1");
}
