//! Which values a criterion accepts.
//!
//! A value of several lines is accepted when one line is: StackRox looks for a line. Whether the whole value can be
//! compared with anything is found out when a matcher is made from it.

use std::fmt;

use super::enumeration::EnumNames;
use super::error::Unaccepted;
use super::glob::PathGlob;

/// Capabilities of a container, each by itself.
pub(crate) const CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETGID",
    "SETFCAP",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

/// Instructions that a line of a Dockerfile can have.
pub(crate) const DOCKER_INSTRUCTIONS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Where the value of an environment variable comes from.
const ENV_SOURCES: &[&str] =
    &["UNSET", "RAW", "SECRET_KEY", "CONFIG_MAP_KEY", "FIELD", "RESOURCE_FIELD", "UNKNOWN"];

/// How ids of signature integrations begin.
const INTEGRATION: &str = "io.stackrox.signatureintegration.";

/// What a value has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// `true` or `false` in any case.
    Bool,
    /// `true` or `false` in lower case, upper case or with one capital: what Go's parser takes.
    GoBool,
    /// Anything but white space.
    Text,
    /// Digits.
    Digits,
    /// A decimal number with an optional comparator.
    Comparison,
    /// `key=value`.
    KeyValue,
    /// One of these, in any case.
    OneOf(&'static [&'static str]),
    /// A name of an enum, in any case.
    Name(EnumNames),
    /// A name of an enum with an optional comparator.
    NameComparison(EnumNames),
    /// `SOURCE=KEY=VALUE`.
    EnvVariable,
    /// `INSTRUCTION=value`.
    DockerfileLine,
    /// A plain name of a user or a group.
    KubernetesName,
    /// An IP address.
    IpAddress,
    /// Id of a signature integration.
    SignatureIntegration,
    /// An absolute path with wildcards.
    PathGlob,
}

impl Form {
    /// Checks a value.
    ///
    /// # Errors
    /// The value does not look like this.
    pub(crate) fn check(self, value: &str) -> Result<(), Unaccepted> {
        if self.accepts(value) { Ok(()) } else { Err(Unaccepted { form: self }) }
    }

    fn accepts(self, value: &str) -> bool {
        match self {
            Self::GoBool => matches!(value, "true" | "TRUE" | "True" | "false" | "FALSE" | "False"),
            Self::PathGlob => is_path_glob(value),
            form => value.split('\n').any(|line| form.accepts_line(line)),
        }
    }

    fn accepts_line(self, line: &str) -> bool {
        match self {
            Self::Bool | Self::GoBool => is_one_of(line, &["true", "false"]),
            Self::Text => line.contains(|c| !is_space(c)),
            Self::Digits => is_digits(line),
            Self::Comparison => is_comparison(line),
            Self::KeyValue => line.find('=').is_some_and(|end| end > 0),
            Self::OneOf(values) => is_one_of(line, values),
            Self::Name(names) => is_name(line, names),
            Self::NameComparison(names) => is_name(after_comparator(line), names),
            Self::EnvVariable => is_env_variable(line),
            Self::DockerfileLine => is_dockerfile_line(line),
            Self::KubernetesName => is_kubernetes_name(line),
            Self::IpAddress => starts_with_ipv4(line) || ends_with_ipv6(line),
            Self::SignatureIntegration => line.strip_prefix(INTEGRATION).is_some_and(is_uuid),
            Self::PathGlob => is_path_glob(line),
        }
    }
}

/// What is accepted, as the end of a sentence.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: EnumNames| names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        match self {
            Self::Bool | Self::GoBool => f.write_str("`true` or `false`"),
            Self::Text => f.write_str("a text that is not blank"),
            Self::Digits => f.write_str("digits only, as in `30`"),
            Self::Comparison => {
                f.write_str("a number, after `<`, `<=`, `>` or `>=` or alone, as in `>= 7.5`")
            }
            Self::KeyValue => f.write_str("`key=value`, where the value may be empty"),
            Self::OneOf(values) => write!(f, "one of {}", values.join(", ")),
            Self::Name(values) => write!(f, "one of {}", names(values)),
            Self::NameComparison(values) => {
                write!(f, "one of {}, after `<`, `<=`, `>` or `>=` or alone", names(values))
            }
            Self::EnvVariable => {
                write!(
                    f,
                    "`SOURCE=KEY=VALUE`, where each may be empty and the source is one of {}",
                    ENV_SOURCES.join(", ")
                )
            }
            Self::DockerfileLine => write!(
                f,
                "`INSTRUCTION=value`, where the instruction is empty or one of {}",
                DOCKER_INSTRUCTIONS.join(", ")
            ),
            Self::KubernetesName => {
                f.write_str("letters, digits, `-` and `:`, the first and the last a letter or digit")
            }
            Self::IpAddress => f.write_str("an IP address; ranges are not understood"),
            Self::SignatureIntegration => {
                write!(f, "the id of a signature integration: `{INTEGRATION}` and a UUID")
            }
            Self::PathGlob => f.write_str(
                "an absolute path without `..`, with `*`, `**`, `?`, `[a-z]` and `{a,b}` as wildcards",
            ),
        }
    }
}

fn is_env_variable(line: &str) -> bool {
    let Some((source, rest)) = line.split_once('=') else { return false };
    (source.is_empty() || is_one_of(source, ENV_SOURCES)) && rest.contains('=')
}

fn is_dockerfile_line(line: &str) -> bool {
    let Some((instruction, _)) = line.split_once('=') else { return false };
    instruction.is_empty() || is_one_of(instruction, DOCKER_INSTRUCTIONS)
}

/// White space, as Go regexp has it.
const fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0C' | '\r' | ' ')
}

fn is_one_of(text: &str, values: &[&str]) -> bool {
    values.iter().any(|value| value.eq_ignore_ascii_case(text))
}

fn is_name(text: &str, names: EnumNames) -> bool {
    names.iter().any(|(name, _)| name.eq_ignore_ascii_case(text))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn after_comparator(text: &str) -> &str {
    let signless = text.strip_prefix(['<', '>']).map_or(text, |rest| rest.strip_prefix('=').unwrap_or(rest));
    signless.trim_start_matches(is_space)
}

fn is_comparison(line: &str) -> bool {
    match after_comparator(line).split_once('.') {
        None => is_digits(after_comparator(line)),
        Some((whole, fraction)) => (whole.is_empty() || is_digits(whole)) && is_digits(fraction),
    }
}

fn is_kubernetes_name(line: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    is_end(line.bytes().next())
        && is_end(line.bytes().next_back())
        && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':'))
}

/// Whether a line begins with four numbers of up to three digits. What follows does not matter: StackRox does not
/// look at it.
fn starts_with_ipv4(line: &str) -> bool {
    let mut rest = line;
    for i in 0..4 {
        if i > 0 {
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None => return false,
            }
        }
        let digits = rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
        match rest.get(digits..) {
            Some(after) if digits > 0 => rest = after,
            _ => return false,
        }
    }
    true
}

/// Whether a line ends with eight groups, or with less around `::`. What is before them does not matter: StackRox does
/// not look at it.
fn ends_with_ipv6(line: &str) -> bool {
    let mut groups = 0;
    let mut parts = line.rsplit(':');
    while let Some(part) = parts.next() {
        let digits = part.bytes().rev().take_while(u8::is_ascii_hexdigit).count();
        if part.is_empty() {
            let before = parts.next().and_then(|part| part.bytes().next_back());
            return (1..=6).contains(&groups) && before.is_some_and(|byte| byte.is_ascii_hexdigit());
        }
        if digits == 0 {
            return false;
        }
        groups += 1;
        if groups == 8 {
            return true;
        }
        if digits < part.len() || digits > 4 {
            return false;
        }
    }
    false
}

fn is_uuid(text: &str) -> bool {
    let is_group = |(part, length): (&str, usize)| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    text.split('-').count() == 5 && text.split('-').zip([8, 4, 4, 4, 12]).all(is_group)
}

fn is_path_glob(value: &str) -> bool {
    value.starts_with('/')
        && !value.split('/').any(|segment| segment == "..")
        && PathGlob::parse(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: EnumNames = &[("UNKNOWN", 0), ("LOW", 1), ("IMPORTANT", 3)];

    #[track_caller]
    fn table(form: Form, accepted: &[&str], refused: &[&str]) {
        for value in accepted {
            assert_eq!(form.check(value), Ok(()), "{form:?} accepts {value:?}");
        }
        for value in refused {
            assert_eq!(form.check(value), Err(Unaccepted { form }), "{form:?} refuses {value:?}");
        }
    }

    #[test]
    fn values_by_form() {
        table(Form::Bool, &["true", "FALSE", "tRue"], &["", "yes", "1", " true"]);
        table(Form::GoBool, &["true", "False"], &["tRue", "1", "true\n"]);
        table(Form::Text, &["latest", "(", "\u{A0}", "\u{B}"], &["", " \t\n"]);
        table(
            Form::Comparison,
            &["7", ">= 7.5", "<.5", ">0", "7.1"],
            &["= 7", "=7", "-1", "7.", ">=", "", "1.2.3", "==7"],
        );
        table(Form::Digits, &["0", "30"], &["30d", ">30", " 30", "", "\u{663}"]);
        table(Form::KeyValue, &["a=", "a=b=c"], &["a", "=b", ""]);
        table(Form::OneOf(CAPABILITIES), &["NET_RAW", "net_raw"], &["CAP_NET_RAW", "ALL", "", "NET_RAW "]);
        table(Form::Name(LEVELS), &["low", "UNKNOWN"], &[">LOW", "UNSET", ""]);
        table(Form::NameComparison(LEVELS), &["LOW", ">= important", "<LOW"], &["MEDIUM", "=LOW", "", ">"]);
        table(Form::KubernetesName, &["system:admin", "a", "kube-x", "A1"], &["a.b", "-a", "a-", "x@y", ""]);
        table(
            Form::PathGlob,
            &["/etc/**", "/etc/{passwd,shadow}", "/a[bc]", "/a..b"],
            &["etc/x", "/a/../b", "/a[", ""],
        );
    }

    #[test]
    fn environment_variables() {
        table(
            Form::EnvVariable,
            &["RAW=K=V", "==V", "=K=", "secret_key=K=", "=a=b=c"],
            &["K=V", "BAD=K=V", "RAW"],
        );
        table(Form::EnvVariable, &["SECRET_KEY=K=V"], &[]);
    }

    #[test]
    fn lines_of_dockerfiles() {
        table(Form::DockerfileLine, &["RUN=.*curl.*", "=x", "user=root", "FROM=x"], &["RUN", "FOO=x", ""]);
    }

    #[test]
    fn addresses() {
        table(
            Form::IpAddress,
            &[
                "10.0.0.1",
                "999.1.1.1",
                "10.0.0.0/8",
                "fe80::1",
                "1:2:3:4:5:6:7:8",
                "FE80:0::ab:1",
                "x fe80::1",
                "1::2:3:4:5:6:7",
            ],
            &[
                "10.1",
                "abc",
                "::1",
                "1::",
                "1:2:3:4:5:6:7",
                "1:::2",
                "1::2::3::",
                " 10.0.0.1",
                "1.2.3.",
                "fe80::12345",
                "",
            ],
        );
    }

    #[test]
    fn integrations() {
        let id = "4b3b7a6e-0C1d-4e5f-8a9b-0123456789aF";
        table(
            Form::SignatureIntegration,
            &[&format!("{INTEGRATION}{id}")],
            &[id, INTEGRATION, &format!("{INTEGRATION}{id}0"), &format!("{INTEGRATION}{id}-0"), ""],
        );
    }

    #[test]
    fn one_line_suffices() {
        table(Form::Digits, &["x\n30", "30\n"], &["3\r\nx", "x\ny"]);
        table(Form::KeyValue, &["x\na=b"], &["x\n=b"]);
    }

    #[test]
    fn capabilities_stand_once() {
        let mut sorted = CAPABILITIES.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 38);
    }
}
