//! Settings of the database instrumentations.

use super::env::Env;
use super::vars;

/// What is said of a query's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryText {
    /// Every literal becomes `?`.
    #[default]
    Sanitized,
    /// As it was sent, except where it may hold a password.
    Raw,
    /// Nothing: the summary remains.
    Off,
}

/// `OTEL_RUN_DB_QUERY_TEXT`; else the names of OpenTelemetry's Java agent, which know no `off`.
pub(super) fn query_text(env: &Env) -> QueryText {
    let choices = [
        ("sanitized", QueryText::Sanitized),
        ("raw", QueryText::Raw),
        ("off", QueryText::Off),
    ];
    if env.text(vars::DB_QUERY_TEXT).is_some() {
        return env
            .choice(vars::DB_QUERY_TEXT, &choices, "sanitized")
            .unwrap_or_default();
    }
    let sanitizes = [vars::JAVA_DB_SANITIZATION, vars::JAVA_DB_SANITIZER]
        .into_iter()
        .find_map(|var| env.flag(var));
    match sanitizes {
        Some(false) => QueryText::Raw,
        _ => QueryText::Sanitized,
    }
}

/// `OTEL_RUN_DB_SQLCOMMENTER`; else the names of OpenTelemetry's Java agent. Off unless asked for.
pub(super) fn sqlcommenter(env: &Env) -> bool {
    [
        vars::DB_SQLCOMMENTER,
        vars::JAVA_DB_SQLCOMMENTER,
        vars::JAVA_DB_SQLCOMMENTER_OLD,
    ]
    .into_iter()
    .find_map(|var| env.flag(var))
    .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_written_where_asked_for() {
        let own = "OTEL_RUN_DB_SQLCOMMENTER";
        let java = "OTEL_INSTRUMENTATION_COMMON_DB_EXPERIMENTAL_SQLCOMMENTER_ENABLED";
        let older = "OTEL_INSTRUMENTATION_COMMON_EXPERIMENTAL_DB_SQLCOMMENTER_ENABLED";
        type Vars<'a> = &'a [(&'a str, &'a str)];
        let rows: [(Vars, bool, usize); 6] = [
            (&[], false, 0),
            (&[(own, "true")], true, 0),
            (&[(own, "yes please")], false, 1),
            (&[(java, "true")], true, 0),
            (&[(older, "true")], true, 0),
            (&[(own, "false"), (java, "true")], false, 0),
        ];
        for (vars, expected, warnings) in rows {
            let env = Env::new(vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
            assert_eq!(sqlcommenter(&env), expected, "{vars:?}");
            assert_eq!(env.into_warnings().len(), warnings, "{vars:?}");
        }
    }

    #[test]
    fn the_own_name_comes_first() {
        let own = "OTEL_RUN_DB_QUERY_TEXT";
        let java = "OTEL_INSTRUMENTATION_COMMON_DB_STATEMENT_SANITIZER_ENABLED";
        let newer = "OTEL_INSTRUMENTATION_COMMON_DB_QUERY_SANITIZATION_ENABLED";
        type Vars<'a> = &'a [(&'a str, &'a str)];
        let rows: [(Vars, QueryText, usize); 8] = [
            (&[], QueryText::Sanitized, 0),
            (&[(own, "RAW")], QueryText::Raw, 0),
            (&[(own, "off")], QueryText::Off, 0),
            (&[(own, "none")], QueryText::Sanitized, 1),
            (&[(java, "false")], QueryText::Raw, 0),
            (&[(java, "true")], QueryText::Sanitized, 0),
            (&[(newer, "true"), (java, "false")], QueryText::Sanitized, 0),
            (
                &[(own, "sanitized"), (java, "false")],
                QueryText::Sanitized,
                0,
            ),
        ];
        for (vars, expected, warnings) in rows {
            let env = Env::new(vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
            assert_eq!(query_text(&env), expected, "{vars:?}");
            assert_eq!(env.into_warnings().len(), warnings, "{vars:?}");
        }
    }
}
