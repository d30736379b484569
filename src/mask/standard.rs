//! `CopyMask standard`: what holds credentials by its usual name.

use super::rule::{Action, DEFAULT_TEXT, Name, Place, Rule, Text};

/// Fields that are dropped.
pub const HEADERS: [&str; 16] = [
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "X-Api-Key",
    "Api-Key",
    "X-Auth-Token",
    "X-Auth-Key",
    "X-Access-Token",
    "X-Session-Token",
    "X-Csrf-Token",
    "X-CSRFToken",
    "X-Xsrf-Token",
    "X-Amz-Security-Token",
    "X-Gitlab-Token",
    "Private-Token",
    "X-Vault-Token",
];

/// Names whose values are replaced in the query, in forms and in JSON, at any depth; letter case aside.
pub const NAMES: [&str; 58] = [
    "password",
    "passwd",
    "passwort",
    "pass",
    "pwd",
    "passphrase",
    "passcode",
    "password1",
    "password2",
    "new_password",
    "newPassword",
    "old_password",
    "oldPassword",
    "current_password",
    "currentPassword",
    "confirm_password",
    "confirmPassword",
    "password_confirm",
    "passwordConfirm",
    "password_confirmation",
    "passwordConfirmation",
    "user_password",
    "userPassword",
    "secret",
    "client_secret",
    "clientSecret",
    "client_assertion",
    "token",
    "access_token",
    "accessToken",
    "refresh_token",
    "refreshToken",
    "id_token",
    "idToken",
    "auth_token",
    "authToken",
    "session_token",
    "sessionToken",
    "reset_token",
    "resetToken",
    "csrf_token",
    "csrfToken",
    "csrfmiddlewaretoken",
    "authenticity_token",
    "_csrf",
    "_token",
    "jwt",
    "bearer",
    "api_key",
    "apiKey",
    "api-key",
    "api_secret",
    "apiSecret",
    "private_key",
    "privateKey",
    "authorization",
    "otp",
    "pin",
];

/// The rules that it stands for.
pub(super) fn rules() -> Vec<Rule> {
    let names = |names: &[&str]| names.iter().map(|name| Name::Plain((*name).to_owned())).collect();
    let fixed = || Action::Fixed(Text::of(DEFAULT_TEXT));
    let mut rules =
        vec![Rule { place: Place::Header, names: names(&HEADERS), action: Action::Drop }];
    for place in [Place::Query, Place::Form, Place::Json] {
        rules.push(Rule { place, names: names(&NAMES), action: fixed() });
    }
    rules
}
