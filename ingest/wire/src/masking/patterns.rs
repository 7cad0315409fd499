//! The built-in patterns: what secret values look like.
//!
//! Two kinds: tokens that are recognised by themselves, by the prefix that their issuer gives them, and values that are
//! recognised by what is before them (`password=`, `Authorization:`). The group named `secret` is what is masked;
//! what is around it stays, so that people see what it was.

/// A token that a prefix gives away: its name, the prefix, the characters after it, and how many of them there are at
/// least. Where a text was cut off, fewer are enough.
const TOKENS: &[(&str, &str, &str, usize)] = &[
    ("aws-access-key-id", "(?:AKIA|ASIA|ABIA|ACCA)", "A-Z0-9", 16),
    ("github-token", "gh[oprsu]_", "A-Za-z0-9", 20),
    ("github-fine-grained-token", "github_pat_", "A-Za-z0-9_", 20),
    ("gitlab-token", "gl(?:pat|dt|rt|ptt|cbt|soat|agent)-", "A-Za-z0-9_.-", 20),
    ("slack-token", "(?:xox[abeoprs]|xapp)-", "A-Za-z0-9-", 10),
    ("slack-webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/", "A-Za-z0-9_/-", 8),
    ("discord-webhook", r"discord(?:app)?\.com/api/webhooks/", "A-Za-z0-9_/-", 20),
    ("google-api-key", "AIza", "A-Za-z0-9_-", 30),
    ("google-oauth-token", r"ya29\.", "A-Za-z0-9_.-", 20),
    ("google-client-secret", "GOCSPX-", "A-Za-z0-9_-", 20),
    ("stripe-key", "[rs]k_(?:live|test)_", "A-Za-z0-9", 10),
    ("stripe-webhook-secret", "whsec_", "A-Za-z0-9+/=", 20),
    ("npm-token", "npm_", "A-Za-z0-9", 30),
    ("pypi-token", "pypi-AgE", "A-Za-z0-9_-", 16),
    ("rubygems-key", "rubygems_", "a-f0-9", 32),
    ("docker-hub-token", "dckr_(?:pat|oat)_", "A-Za-z0-9_-", 20),
    ("vault-token", r"hv[bsr]\.", "A-Za-z0-9_-", 20),
    ("digitalocean-token", "do[opr]_v1_", "a-f0-9", 32),
    ("sendgrid-key", r"SG\.", "A-Za-z0-9_.-", 32),
    ("twilio-key", "SK", "a-f0-9", 32),
    ("hugging-face-token", "hf_", "A-Za-z0-9", 30),
    ("anthropic-key", "sk-ant-", "A-Za-z0-9_-", 16),
    ("openai-project-key", "sk-(?:proj|svcacct|admin|None)-", "A-Za-z0-9_-", 16),
    ("openai-key", "sk-", "A-Za-z0-9", 32),
    ("grafana-token", "gl(?:sa|c)_", "A-Za-z0-9_+/=", 20),
    ("shopify-token", "shp(?:at|ca|pa|ss)_", "a-fA-F0-9", 32),
    ("databricks-token", "dapi", "a-f0-9", 32),
    ("atlassian-token", "ATATT3", "A-Za-z0-9_=-", 20),
    ("age-secret-key", "AGE-SECRET-KEY-1", "A-Z0-9", 20),
    ("nats-seed", "S[ACNOUX]", "A-Z2-7", 56),
];

/// What the name of a secret value ends with. `pass` and `pwd` need something before them: `bypass` and the shell's
/// `PWD` are no passwords.
const KEY: &str = concat!(
    "(?:pass(?:wd|word|phrase|code)|(?:_|(?-u:\\b))pass|[_;?&]pwd|secret|token",
    "|(?:api|access|account|secret|private|encryption|signing|master|shared|storage|hmac|webhook|auth|app)[_.-]?key)",
    "(?:[_-]?(?:[0-9]{1,3}|base|hash|value))?",
);

/// How a bare value begins. `$(NAME)` and `${NAME}` refer to a value and are none.
const START: &str = r#"(?:[^\s"'\\$]|\$[^\s"({])"#;

/// How it goes on in arguments: to the next white space or quote. Quotes and brackets at the end are not its own.
const ARGUMENT: &str = r#"(?:[^\s"]*[^\s"'`\\)\]},;])?"#;

/// How it goes on where other values may follow, in a query or a connection string.
const PART: &str = r#"(?:[^\s"&;]*[^\s"'`\\)\]},;&])?"#;

/// The built-in patterns with their names.
pub(super) fn built_in() -> Vec<(&'static str, String)> {
    let mut patterns: Vec<(&str, String)> = TOKENS
        .iter()
        .map(|(name, prefix, characters, least)| {
            let rest = format!(r"[{characters}]{{{least},}}|[{characters}]{{8,}}(?:\.\.\.|…)");
            (*name, format!(r"(?:(?-u:\b)|\\[nrt]){prefix}(?<secret>{rest})"))
        })
        .collect();
    let quoted =
        |rest: &str| format!(r#"(?:"(?<secret>[^"]+)"|'(?<secret2>[^']+)'|(?<secret3>{START}{rest}))"#);
    let (argument, part) = (quoted(ARGUMENT), quoted(PART));
    patterns.extend([
        // Two parts at least: one alone is base64 of some JSON.
        (
            "jwt",
            r"(?:(?-u:\b)|\\[nrt])eyJ(?<secret>[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,4})"
                .to_owned(),
        ),
        // The body has single dashes in its headers, and a line of many at its end.
        (
            "private-key",
            "-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?<secret>(?:[^-]|-[^-])+)".to_owned(),
        ),
        (
            "authorization",
            format!(
                r#"(?i)authorization\\*["']?\s*[:=]\s*\[?\\*["']?(?:(?:bearer|basic|token|digest|negotiate|apikey)\s+)?(?<secret>{START}{ARGUMENT})"#
            ),
        ),
        ("bearer", r"(?i)(?-u:\b)bearer\s+(?<secret>[A-Za-z0-9._~+/=-]{16,})".to_owned()),
        ("basic", r"(?-u:\b)[Bb]asic\s+(?<secret>[A-Za-z0-9+/]{8,}={1,2})".to_owned()),
        ("cookie", r#"(?i)(?-u:\b)(?:set-)?cookie:\s*(?<secret>[^\s"'`][^\r\n"'`]*)"#.to_owned()),
        // `image:tag@sha256:…` behind a scheme is an image.
        (
            "url-password",
            r#"://[^\s/:@"'`<>]*:(?<secret>[^\s/"'`<>]+)@(?:[^s]|s[^h]|sh[^a]|sha[^25]|$)"#.to_owned(),
        ),
        (
            "flag",
            format!(r#"(?i)(?:^|[\s"'`=\[,(])--?[a-z0-9_.-]*{KEY}(?:=|\\*",\s*\\*"){argument}"#),
        ),
        // After white space, another flag is not a value.
        (
            "flag-and-value",
            format!(
                r#"(?i)(?:^|[\s"'`=\[,(])--?[a-z0-9_.-]*{KEY}\s+(?:"(?<secret>[^"]+)"|'(?<secret2>[^']+)'|(?<secret3>(?:[^\s"'\\$-]|\$[^\s"({{]){ARGUMENT}))"#
            ),
        ),
        ("assignment", format!("(?i){KEY}(?::?=| = ){part}")),
        ("npmrc-auth", format!("(?i)_auth(?:=| = ){part}")),
        // In JSON, and in JSON that is a text in JSON: there, quotes are escaped.
        (
            "json",
            format!(
                r#"(?i){KEY}(?:"\s*:\s*"(?<secret>(?:[^"\\]|\\.)+)|\\+"\s*:\s*\\+"(?<secret2>(?:[^"\\]|\\+[^"\\])+)|\\*"\s*:\s*(?<secret3>[0-9][^\s,}}\]"\\]*))"#
            ),
        ),
        (
            "json-variable",
            format!(
                r#"(?i)(?:name|key)(?:"\s*:\s*"[^"\\]*{KEY}"\s*,\s*"value"\s*:\s*"(?<secret>(?:[^"\\]|\\.)+)|\\+"\s*:\s*\\+"[^"\\]*{KEY}\\+"\s*,\s*\\+"value\\+"\s*:\s*\\+"(?<secret2>(?:[^"\\]|\\+[^"\\])+))"#
            ),
        ),
        // White space behind the colon: `secret:1.2` is an image, `token:reader` a part of a name.
        (
            "header",
            format!(r#"(?i){KEY}["']?:[ \t]+\\*["']?(?<secret>(?:[^\s"'\\${{\[|>*]|\*|\$[^\s"({{]){PART})"#),
        ),
        (
            "docker-auth",
            r#""(?:auth|\.dockerconfigjson|\.dockercfg)\\*"\s*:\s*\\*"(?<secret>[^"\\]+)"#.to_owned(),
        ),
        ("azure-sas", r"(?i)[?&;]sig=(?<secret>[A-Za-z0-9%+/=_-]{16,})".to_owned()),
        ("kubectl-literal", format!(r"--from-literal[=\s]+[^\s=]+={part}")),
        (
            "mysql-password",
            format!(
                r#"(?:mysql[a-z_]*|mariadb[a-z-]*|mycli)(?-u:\b)[^|;&\n]*?\s-p(?<secret>{START}{ARGUMENT})"#
            ),
        ),
        // Arguments alone do not say what was run: `-p` behind `-u` is a password unless it maps ports.
        (
            "user-and-password",
            format!(
                r#"(?:^|[\s"'`])-u ?[^\s-]\S*(?: +-[^\sp]\S*)* +-p(?<secret>(?:[^\s"'\\$0-9]|[0-9][0-9:.-]*[^\s"'`0-9:./-]){ARGUMENT})"#
            ),
        ),
        ("login-password", format!(r"(?-u:\b)login(?-u:\b)[^|;&\n]*?\s-p[=\s]+(?<secret>{START}{ARGUMENT})")),
        ("sshpass", format!(r"(?-u:\b)sshpass(?-u:\b)[^|;&\n]*?\s-p\s*(?<secret>{START}{ARGUMENT})")),
        ("redis-password", format!(r"(?-u:\b)redis-cli(?-u:\b)[^|;&\n]*?\s-a\s+(?<secret>{START}{ARGUMENT})")),
        (
            "http-user",
            format!(
                r#"(?-u:\b)(?:curl|wget|https?)(?-u:\b)[^|;&\n]*?\s(?:-u|--user|--proxy-user)[=\s]*["']?[^\s:"'-][^\s:"']*:(?<secret>{START}{ARGUMENT})"#
            ),
        ),
        (
            "http-user-before-url",
            format!(
                r#"(?:^|[\s"'`])(?:-u|--user|--proxy-user)[=\s]*["']?[^\s:"'-][^\s:"']*:(?<secret>{START}{ARGUMENT})["']?\s[^|;&\n]*?https?://"#
            ),
        ),
    ]);
    patterns
}
