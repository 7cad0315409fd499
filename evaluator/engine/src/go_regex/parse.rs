//! The syntax of Go regexp.
//!
//! The parser builds the syntax tree of `regex-syntax` itself: every class is spelt out, every flag is resolved, and
//! what makes no difference to "does it match" (captures, greediness) is dropped. So nothing is left that the two
//! dialects could read differently.

use regex_syntax::hir::{Class, Dot, Hir, HirKind, Look, Repetition};

use super::class::{self, ClassBuilder, NamedClass};
use super::cursor::Cursor;
use super::error::{PatternError, PatternErrorKind as Kind};

/// The largest count of a repetition; counts of repetitions in repetitions are multiplied.
const MAX_REPEAT: u32 = 1000;

/// How deep trees may be. Go stops at 1000; later stages recurse, on threads with small stacks.
const MAX_DEPTH: u32 = 100;

/// The last code point. Go reads code points where texts have characters: surrogates can be named.
const MAX_CODE_POINT: u32 = 0x10_FFFF;

/// Parses `pattern`.
pub(super) fn parse(pattern: &str) -> Result<Hir, PatternError> {
    let mut parser = Parser {
        cursor: Cursor::new(pattern),
        flags: Flags::default(),
        open: Vec::new(),
        group: Group::default(),
    };
    parser.pattern()
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    /// Case makes no difference.
    fold: bool,
    /// `^` and `$` match at lines.
    lines: bool,
    /// `.` matches line feeds.
    dot_all: bool,
}

/// A part of the pattern that a repetition can follow.
#[derive(Debug)]
struct Item {
    hir: Hir,
    /// How often its innermost part is repeated: the product of the counts around it.
    copies: u32,
    depth: u32,
}

/// An open group.
#[derive(Debug, Default)]
struct Group {
    /// The flags to return to when it is closed.
    outer: Flags,
    /// Finished alternatives.
    alternatives: Vec<Item>,
    /// What is in the current one.
    items: Vec<Item>,
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    flags: Flags,
    /// The groups around the current one.
    open: Vec<Group>,
    group: Group,
}

// === impl Parser ===

impl Parser<'_> {
    fn pattern(&mut self) -> Result<Hir, PatternError> {
        // Whether the last token was a repetition. Go asks for the last token, so `a*(?i)*` is allowed.
        let mut repeated = false;
        loop {
            let start = self.cursor.offset();
            let before = self.cursor.clone();
            let Some(c) = self.cursor.next() else { break };
            let mut repetition = None;
            match c {
                '(' => self.open_group(start)?,
                ')' => self.close_group(start)?,
                '|' => self.group.next_alternative(),
                '^' => self.look(if self.flags.lines { Look::StartLF } else { Look::Start }),
                '$' => self.look(if self.flags.lines { Look::EndLF } else { Look::End }),
                '.' => {
                    let dot = if self.flags.dot_all { Dot::AnyChar } else { Dot::AnyCharExceptLF };
                    self.push(Hir::dot(dot));
                }
                '[' => self.class(start)?,
                '*' => repetition = Some((0, None)),
                '+' => repetition = Some((1, None)),
                '?' => repetition = Some((0, Some(1))),
                '{' => match self.counts(start)? {
                    Some(counts) => repetition = Some(counts),
                    None => {
                        // What cannot be a count is text.
                        self.cursor = before;
                        self.cursor.next();
                        self.literal(u32::from('{'));
                    }
                },
                '\\' => self.escape(start)?,
                c => self.literal(u32::from(c)),
            }
            if let Some((min, max)) = repetition {
                // A question mark after a repetition is about greediness.
                self.cursor.eat("?");
                if repeated {
                    return Err(PatternError::new(Kind::NestedRepeat, start));
                }
                self.repeat(c == '{', min, max, start)?;
            }
            repeated = repetition.is_some();
        }
        if !self.open.is_empty() {
            return Err(PatternError::new(Kind::MissingParenthesis, self.cursor.offset()));
        }
        let item = std::mem::take(&mut self.group).finish();
        item.checked(self.cursor.offset()).map(|item| item.hir)
    }

    fn push(&mut self, hir: Hir) {
        self.group.items.push(Item { hir, copies: 1, depth: 0 });
    }

    fn look(&mut self, look: Look) {
        self.push(Hir::look(look));
    }

    fn push_class(&mut self, class: ClassBuilder, negated: bool) {
        self.push(Hir::class(Class::Unicode(class.finish(negated))));
    }

    fn literal(&mut self, code_point: u32) {
        let mut class = ClassBuilder::new(self.flags.fold);
        class.push_range(code_point, code_point);
        self.push_class(class, false);
    }

    fn open_group(&mut self, start: usize) -> Result<(), PatternError> {
        let outer = self.flags;
        if self.cursor.eat("?") && !self.flags_or_name(start)? {
            return Ok(());
        }
        if self.open.len() >= MAX_DEPTH as usize {
            return Err(PatternError::new(Kind::TooDeep, start));
        }
        self.open.push(std::mem::replace(&mut self.group, Group { outer, ..Group::default() }));
        Ok(())
    }

    fn close_group(&mut self, start: usize) -> Result<(), PatternError> {
        let Some(outer) = self.open.pop() else {
            return Err(PatternError::new(Kind::UnexpectedParenthesis, start));
        };
        let inner = std::mem::replace(&mut self.group, outer);
        self.flags = inner.outer;
        self.group.items.push(inner.finish().checked(start)?);
        Ok(())
    }

    /// Reads what follows `(?`. Returns whether it opens a group; it only sets flags otherwise.
    fn flags_or_name(&mut self, start: usize) -> Result<bool, PatternError> {
        // Go wants something after the bracket before it takes it for the start of a name.
        let rest = self.cursor.rest();
        if rest.len() > 1 && self.cursor.eat("<") || rest.len() > 2 && self.cursor.eat("P<") {
            let name = self.cursor.eat_until(">").unwrap_or_default();
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(PatternError::new(Kind::GroupName, start));
            }
            return Ok(true);
        }
        let mut flags = self.flags;
        let mut on = true;
        let mut any = false;
        while let Some(c) = self.cursor.next() {
            match c {
                'i' => flags.fold = on,
                'm' => flags.lines = on,
                's' => flags.dot_all = on,
                // Swaps greedy and lazy, which is the same to us.
                'U' => {}
                '-' if on => {
                    on = false;
                    any = false;
                    continue;
                }
                ':' | ')' if on || any => {
                    self.flags = flags;
                    return Ok(c == ':');
                }
                _ => break,
            }
            any = true;
        }
        Err(PatternError::new(Kind::GroupSyntax, start))
    }

    /// Reads the counts after an opening brace; `None` when they are none.
    fn counts(&mut self, start: usize) -> Result<Option<(u32, Option<u32>)>, PatternError> {
        let Some(min) = self.number() else { return Ok(None) };
        let max = if !self.cursor.eat(",") {
            Some(min)
        } else if self.cursor.peek() == Some('}') {
            None
        } else {
            let Some(max) = self.number() else { return Ok(None) };
            Some(max)
        };
        if !self.cursor.eat("}") {
            return Ok(None);
        }
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || min > max) {
            return Err(PatternError::new(Kind::RepeatCount, start));
        }
        Ok(Some((min, max)))
    }

    /// Reads a number; one with a leading zero is none.
    fn number(&mut self) -> Option<u32> {
        let first = self.cursor.peek()?.to_digit(10)?;
        if first == 0 && self.cursor.peek_second().is_some_and(|c| c.is_ascii_digit()) {
            return None;
        }
        let mut number = 0_u32;
        while let Some(digit) = self.cursor.peek().and_then(|c| c.to_digit(10)) {
            self.cursor.next();
            number = number.saturating_mul(10).saturating_add(digit);
        }
        Some(number)
    }

    fn repeat(
        &mut self,
        counted: bool,
        min: u32,
        max: Option<u32>,
        start: usize,
    ) -> Result<(), PatternError> {
        let Some(item) = self.group.items.pop() else {
            return Err(PatternError::new(Kind::NothingToRepeat, start));
        };
        let copies = match (counted, max) {
            (false, _) => item.copies,
            // Nothing is left of it.
            (true, Some(0)) => 1,
            (true, max) => item.copies.saturating_mul(max.unwrap_or(min).max(1)),
        };
        if counted && max.unwrap_or(min) >= 2 && copies > MAX_REPEAT {
            return Err(PatternError::new(Kind::RepeatCount, start));
        }
        let hir = match (item.hir.kind(), min, max) {
            // Printed, this would read as a lazy repetition.
            (HirKind::Repetition(_), 0, Some(1)) => Hir::alternation(vec![item.hir, Hir::empty()]),
            _ => Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(item.hir) }),
        };
        let item = Item { hir, copies, depth: item.depth + 1 };
        self.group.items.push(item.checked(start)?);
        Ok(())
    }

    /// Reads what follows a backslash outside of a class.
    fn escape(&mut self, start: usize) -> Result<(), PatternError> {
        match self.cursor.peek() {
            Some('A') => self.look(Look::Start),
            Some('z') => self.look(Look::End),
            Some('b') => self.look(Look::WordAscii),
            Some('B') => self.look(Look::WordAsciiNegate),
            Some('Q') => {
                self.cursor.next();
                let quoted = match self.cursor.eat_until(r"\E") {
                    Some(quoted) => quoted,
                    None => self.cursor.eat_all(),
                };
                quoted.chars().for_each(|c| self.literal(u32::from(c)));
                return Ok(());
            }
            _ => {
                if let Some(part) = self.escaped_class(start)? {
                    let mut class = ClassBuilder::new(self.flags.fold);
                    class.push(part);
                    self.push_class(class, false);
                } else {
                    let code_point = self.escaped_character(start)?;
                    self.literal(code_point);
                }
                return Ok(());
            }
        }
        self.cursor.next();
        Ok(())
    }

    /// Reads the rest of an escape that stands for a class, if it does.
    fn escaped_class(&mut self, start: usize) -> Result<Option<NamedClass>, PatternError> {
        let Some(letter) = self.cursor.peek() else { return Ok(None) };
        if !matches!(letter, 'p' | 'P') {
            let class = class::perl(letter);
            if class.is_some() {
                self.cursor.next();
            }
            return Ok(class);
        }
        self.cursor.next();
        let invalid = PatternError::new(Kind::ClassRange, start);
        let mut single = [0; 4];
        let name = match self.cursor.next() {
            Some('{') => self.cursor.eat_until("}").ok_or(invalid)?,
            Some(c) => c.encode_utf8(&mut single),
            None => return Err(invalid),
        };
        let class = class::unicode(name).ok_or(invalid)?;
        Ok(Some(if letter == 'P' { class.inverted() } else { class }))
    }

    /// Reads the rest of an escape that stands for a character.
    fn escaped_character(&mut self, start: usize) -> Result<u32, PatternError> {
        let invalid = PatternError::new(Kind::Escape, start);
        let Some(c) = self.cursor.next() else {
            return Err(PatternError::new(Kind::TrailingBackslash, start));
        };
        let code_point = match c {
            // A single digit that is not zero would be a back-reference.
            '1'..='7' if !self.cursor.peek().is_some_and(|c| c.is_digit(8)) => return Err(invalid),
            '0'..='7' => {
                let mut code_point = c.to_digit(8).ok_or(invalid)?;
                for _ in 0..2 {
                    let Some(digit) = self.cursor.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.cursor.next();
                    code_point = code_point * 8 + digit;
                }
                code_point
            }
            'x' => self.hexadecimal().ok_or(invalid)?,
            'a' => 0x07,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            'v' => 0x0B,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
            _ => return Err(invalid),
        };
        Ok(code_point)
    }

    /// Reads two hexadecimal digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        if !self.cursor.eat("{") {
            let high = self.cursor.next()?.to_digit(16)?;
            return Some(high * 16 + self.cursor.next()?.to_digit(16)?);
        }
        let digits = self.cursor.eat_until("}").filter(|digits| !digits.is_empty())?;
        digits.chars().try_fold(0, |number, digit| {
            Some(number * 16 + digit.to_digit(16)?).filter(|number| *number <= MAX_CODE_POINT)
        })
    }

    /// Reads the rest of a bracketed class.
    fn class(&mut self, start: usize) -> Result<(), PatternError> {
        let negated = self.cursor.eat("^");
        let mut class = ClassBuilder::new(self.flags.fold);
        // A closing bracket that comes first is a character of the class.
        let mut first = true;
        while first || !self.cursor.eat("]") {
            first = false;
            let at = self.cursor.offset();
            if let Some(part) = self.class_in_class(at)? {
                class.push(part);
                continue;
            }
            let low = self.class_character(start)?;
            let mut high = low;
            // A dash before the closing bracket is a character of the class.
            if self.cursor.peek() == Some('-') && self.cursor.peek_second().is_some_and(|c| c != ']') {
                self.cursor.next();
                high = self.class_character(start)?;
                if high < low {
                    return Err(PatternError::new(Kind::ClassRange, at));
                }
            }
            class.push_range(low, high);
        }
        self.push_class(class, negated);
        Ok(())
    }

    /// Reads a named class in a class, if one is here.
    fn class_in_class(&mut self, start: usize) -> Result<Option<NamedClass>, PatternError> {
        let before = self.cursor.clone();
        if self.cursor.eat("[:") {
            if let Some(name) = self.cursor.eat_until(":]") {
                let invalid = PatternError::new(Kind::ClassRange, start);
                return class::posix(name).map(Some).ok_or(invalid);
            }
            // Without its end it is a bracket and a colon.
            self.cursor = before;
            return Ok(None);
        }
        if self.cursor.eat(r"\") {
            let class = self.escaped_class(start)?;
            if class.is_none() {
                self.cursor = before;
            }
            return Ok(class);
        }
        Ok(None)
    }

    fn class_character(&mut self, class: usize) -> Result<u32, PatternError> {
        let start = self.cursor.offset();
        match self.cursor.next() {
            None => Err(PatternError::new(Kind::MissingBracket, class)),
            Some('\\') => self.escaped_character(start),
            Some(c) => Ok(u32::from(c)),
        }
    }
}

// === impl Group ===

impl Group {
    fn next_alternative(&mut self) {
        let items = std::mem::take(&mut self.items);
        self.alternatives.push(Item::join(items, Hir::concat));
    }

    fn finish(mut self) -> Item {
        self.next_alternative();
        Item::join(self.alternatives, Hir::alternation)
    }
}

// === impl Item ===

impl Item {
    /// Puts items together.
    fn join(items: Vec<Self>, together: fn(Vec<Hir>) -> Hir) -> Self {
        let copies = items.iter().map(|item| item.copies).max().unwrap_or(1);
        let depth = items.iter().map(|item| item.depth).max().unwrap_or(0);
        let depth = if items.len() > 1 { depth + 1 } else { depth };
        Self { hir: together(items.into_iter().map(|item| item.hir).collect()), copies, depth }
    }

    fn checked(self, offset: usize) -> Result<Self, PatternError> {
        // A group can add two levels, and its repetition one.
        if self.depth > 3 * MAX_DEPTH { Err(PatternError::new(Kind::TooDeep, offset)) } else { Ok(self) }
    }
}
