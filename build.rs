//! Binds httpd's headers and builds the C shim, with every flag from `apxs` and `apr-1-config`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "httpd")]
    if let Err(message) = shell::build() {
        // Two colons make cargo print the sentence as the build's error.
        println!("cargo::error={message}");
        std::process::exit(1);
    }
}

#[cfg(feature = "httpd")]
mod shell {
    use std::env;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    const HEADERS: &str = "install httpd's development files (Debian: apt-get install apache2-dev; \
                           RHEL: dnf install httpd-devel) or set APXS";
    const CLANG: &str = "install libclang (Debian: apt-get install libclang-dev; RHEL: dnf install \
                         clang-devel) or set LIBCLANG_PATH";

    const FUNCTIONS: &[&str] = &[
        "ap_add_(input|output)_filter_handle",
        "ap_check_cmd_context",
        "ap_create_per_dir_config",
        "ap_walk_config",
        "ap_exists_(config_define|scoreboard_image)",
        "ap_expr_(exec|lookup_default|parse_cmd_mi|str_exec)",
        "ap_find_linked_module",
        "apr_table_make",
        "apr_table_copy",
        "apr_table_addn",
        "ap_hook_get_fixups",
        "ap_create_request_config",
        "ap_get_client_block",
        "ap_hook_(access_checker|check_config|child_init|handler|insert_error_filter|insert_filter|log_transaction|post_config|post_read_request|pre_config|test_config|translate_name|type_checker)",
        "ap_get_brigade",
        "ap_get_scoreboard_worker_from_indexes",
        "ap_mpm_query",
        "ap_open_piped_log",
        "ap_pass_brigade",
        "ap_piped_log_write_fd",
        "ap_register_(input|output)_filter",
        "ap_retained_data_(create|get)",
        "ap_run_access_checker(_ex)?",
        "ap_run_http_scheme",
        "ap_rwrite",
        "ap_satisfies",
        "ap_set_content_type",
        "ap_setup_client_block",
        "ap_should_client_block",
        "ap_show_mpm",
        "ap_state_query",
        "ap_strcasecmp_match",
        "apr_generate_random_bytes",
        "apr_os_file_get",
        "apr_palloc",
        "apr_pool_(pre_cleanup|cleanup)_register",
        "apr_pool_cleanup_null",
        "apr_pstrmemdup",
        "apr_sockaddr_info_get",
        "apr_table_(elts|get|setn)",
        "copy_.*",
    ];
    const TYPES: &[&str] = &[
        "ap_LINK_fixups_t",
        "ap_slotmem_provider_t",
        "ap_logconf",
        "apr_table_entry_t",
        "command_rec",
        "copy_.*",
        "module",
        "proxy_balancer",
        "proxy_balancer_shared",
        "proxy_dir_conf",
        "proxy_hashes",
        "proxy_server_conf",
        "proxy_worker",
        "proxy_worker_shared",
    ];
    const VARIABLES: &[&str] = &[
        "ACCESS_CONF",
        "AP_EXPR_.*",
        "AP_MPMQ_.*",
        "AP_SQ_.*",
        "AP_STATUS_SHORT",
        "APLOG_.*",
        "APR_HOOK_.*",
        "APR_INET6?",
        "APR_SUCCESS",
        "DECLINED",
        "GLOBAL_ONLY",
        "HTTP_.*",
        "MODULE_MAGIC_.*",
        "M_(GET|POST)",
        "NOT_IN_.*",
        "OK",
        "PROXY_(BALANCER|MAX|WORKER)_.*",
        "OR_ALL",
        "REQUEST_CHUNKED_DECHUNK",
        "RSRC_CONF",
        "SERVER_(BUSY_READ|DEAD|GRACEFUL)",
        "SATISFY_ANY",
        "ap_conftree",
        "ap_server_conf",
        "ap_server_root",
        "ap_top_module",
        "ap_unixd_config",
    ];

    /// Binds the headers, compiles the shim, and sets the linker's flags.
    pub fn build() -> Result<(), String> {
        println!("cargo:rerun-if-changed=include");
        println!("cargo:rerun-if-env-changed=APXS");
        let flags = flags()?;
        bind(&flags)?;
        let mut shim = cc::Build::new();
        for flag in &flags {
            shim.flag(flag);
        }
        shim.warnings(true).extra_warnings(false);
        shim.file("include/shims.c").try_compile("copy_shims").map_err(|error| {
            format!("compiling include/shims.c failed ({error}): install a C compiler (gcc)")
        })?;
        // Unloading would leak a thread key at each restart, until the server aborts.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        Ok(())
    }

    fn bind(flags: &[String]) -> Result<(), String> {
        // bindgen panics where libclang is missing; say what to do instead.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let found = std::panic::catch_unwind(bindgen::clang_version);
        std::panic::set_hook(hook);
        if found.is_err() {
            return Err(format!("libclang was not found: {CLANG}"));
        }
        let mut bindings = bindgen::Builder::default()
            .header("include/bindings.h")
            .clang_args(flags)
            .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
            .wrap_unsafe_ops(true)
            .derive_debug(false)
            .layout_tests(false)
            .generate_comments(false)
            .default_enum_style(bindgen::EnumVariation::Consts)
            // The module record is ours to define.
            .blocklist_item("copy_module");
        for function in FUNCTIONS {
            bindings = bindings.allowlist_function(function);
        }
        for name in TYPES {
            bindings = bindings.allowlist_type(name);
        }
        for variable in VARIABLES {
            bindings = bindings.allowlist_var(variable);
        }
        let out = env::var("OUT_DIR").map_err(|error| error.to_string())?;
        bindings
            .generate()
            .map_err(|error| format!("httpd's headers cannot be read ({error}): {HEADERS}"))?
            .write_to_file(Path::new(&out).join("bindings.rs"))
            .map_err(|error| format!("writing the bindings failed: {error}"))
    }

    /// The preprocessor's flags for httpd, APR and APR-util.
    fn flags() -> Result<Vec<String>, String> {
        let apxs = apxs()?;
        let mut flags = vec![format!("-I{}", query(&apxs, "INCLUDEDIR")?)];
        flags.extend(words(&query(&apxs, "EXTRA_CPPFLAGS").unwrap_or_default()));
        for (variable, fallback) in [("APR_CONFIG", "apr-1-config"), ("APU_CONFIG", "apu-1-config")]
        {
            let config = query(&apxs, variable).ok().filter(|path| Path::new(path).is_file());
            let config = config.unwrap_or_else(|| fallback.to_owned());
            let cppflags = if variable == "APR_CONFIG" {
                &["--cppflags", "--includes"][..]
            } else {
                &["--includes"]
            };
            flags.extend(words(&output(Command::new(&config).args(cppflags))?));
        }
        Ok(flags)
    }

    fn apxs() -> Result<PathBuf, String> {
        if let Some(path) = env::var_os("APXS") {
            return Ok(path.into());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let usual = ["/usr/sbin", "/usr/local/apache2/bin"].map(PathBuf::from);
        let folders: Vec<PathBuf> = env::split_paths(&path).chain(usual).collect();
        let candidates =
            folders.iter().flat_map(|folder| [folder.join("apxs"), folder.join("apxs2")]);
        candidates
            .into_iter()
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| format!("apxs was not found: {HEADERS}"))
    }

    fn query(apxs: &Path, variable: &str) -> Result<String, String> {
        output(Command::new(apxs).args(["-q", variable]))
    }

    fn output(command: &mut Command) -> Result<String, String> {
        let output = command.output();
        let failed = |why: String| format!("{command:?} failed ({why}): {HEADERS}");
        let output = output.map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(output.status.to_string()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn words(text: &str) -> impl Iterator<Item = String> + use<> {
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
    }
}
