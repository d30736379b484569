/* What bindgen cannot see: httpd's and APR's macros, as functions. */
#ifndef MOD_COPY_SHIMS_H
#define MOD_COPY_SHIMS_H

#include <httpd.h>
#include <apr_buckets.h>

/* Has mod_status, if it is there, call the function for its page, with the flags AP_STATUS_*. */
void copy_hook_status(int (*append)(request_rec *request, int flags));

/* Writes one line to a server's error log, at a level of APLOG_*. */
void copy_log(int level, const server_rec *server, const char *message);

/* The level that LogLevel sets for this module in a server. */
int copy_log_level(const server_rec *server);

/* Writes one line of a request to its error log, at a level of APLOG_*, without its Referer. */
void copy_log_request(int level, const request_rec *request, const char *message);

/* The level that LogLevel sets for this module where a request is. */
int copy_request_log_level(const request_rec *request);

/* What a bucket is: none, the end of the stream, a flush, an error, other metadata, or data. */
enum copy_bucket_kind {
    COPY_BUCKET_NONE,
    COPY_BUCKET_EOS,
    COPY_BUCKET_FLUSH,
    COPY_BUCKET_ERROR,
    COPY_BUCKET_METADATA,
    COPY_BUCKET_DATA
};

/* Goes on to the bucket of a brigade that comes next, from NULL to the first; tells what it is. */
enum copy_bucket_kind copy_next_bucket(apr_bucket_brigade *brigade, apr_bucket **bucket);

/* apr_bucket_read, blocking: what a bucket of known length holds is at hand. */
apr_status_t copy_bucket_read(apr_bucket *bucket, const char **data, apr_size_t *length);

/* Whether what a bucket holds is in memory: reading it changes nothing. */
int copy_bucket_is_in_memory(const apr_bucket *bucket);

/* The descriptor of the file that a bucket is a part of; -1 for any other bucket. */
int copy_bucket_file(const apr_bucket *bucket);

/* Whether a request is the first stream of a HTTP/2 connection, as mod_http2 numbers them. */
int copy_is_first_stream(request_rec *request);

#endif
