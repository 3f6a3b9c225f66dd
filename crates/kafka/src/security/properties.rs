//! The formats of properties: Java's property files, and JAAS, in which Kafka has user and password.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// Reads a property file of Java. As there, a later line replaces an earlier one with the same name.
pub(super) fn parse(text: &str) -> BTreeMap<String, String> {
    let mut lines = text.lines();
    let mut properties = BTreeMap::new();
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut line = line.to_owned();
        while is_continued(&line) {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let mut chars = line.chars().peekable();
        let name = unescape(&mut chars, |c| c == '=' || c == ':' || c.is_ascii_whitespace());
        skip_whitespace(&mut chars);
        if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
            skip_whitespace(&mut chars);
        }
        properties.insert(name, unescape(&mut chars, |_| false));
    }
    properties
}

/// Whether the next line belongs to this one: it ends with a backslash that is not escaped itself.
fn is_continued(line: &str) -> bool {
    let backslashes = line.chars().rev().take_while(|c| *c == '\\').count();
    backslashes % 2 == 1
}

fn skip_whitespace(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(char::is_ascii_whitespace).is_some() {}
}

/// Reads up to the first character that ends it and is not escaped.
fn unescape(chars: &mut Peekable<Chars<'_>>, is_end: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !is_end(*c)) {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                text.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}

/// Reads the options of a login module: `MODULE required NAME="VALUE"...;`. Errors have no part of the text, which is secret.
pub(super) fn parse_jaas(config: &str) -> Result<BTreeMap<String, String>, &'static str> {
    const FORM: &str = "it must have the form MODULE required username=\"USER\" password=\"PASSWORD\";";
    let mut chars = config.trim().chars().peekable();
    let mut word = || {
        let mut word = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
            word.push(c);
        }
        skip_whitespace(&mut chars);
        word
    };
    let (module, flag) = (word(), word());
    if module.is_empty() || !flag.eq_ignore_ascii_case("required") {
        return Err(FORM);
    }
    let mut options = BTreeMap::new();
    loop {
        skip_whitespace(&mut chars);
        if chars.next_if_eq(&';').is_some() {
            skip_whitespace(&mut chars);
            return if chars.peek().is_none() { Ok(options) } else { Err(FORM) };
        }
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            name.push(c);
        }
        skip_whitespace(&mut chars);
        if name.is_empty() || chars.next_if_eq(&'=').is_none() {
            return Err(FORM);
        }
        skip_whitespace(&mut chars);
        let value = match chars.next_if(|c| matches!(c, '"' | '\'')) {
            None => unescape(&mut chars, |c| c == ';' || c.is_ascii_whitespace()),
            Some(quote) => {
                let value = unescape(&mut chars, |c| c == quote);
                chars.next().ok_or("a quotation mark is missing at its end")?;
                value
            }
        };
        options.insert(name, value);
    }
}
