//! Puts every mutant of a file beside the code that it replaces, behind a switch.
//!
//! `a + b` becomes `(if !switch::is_any(&[7]) { a + b } else { a - b })`. Only the branch without a mutant holds other
//! mutants, so the text grows by each mutant's own expression, however deep they lie in one another. The original comes
//! first: where the types of the branches differ, the compiler complains of the mutant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::Result;
use crate::list::{Genre, Mutant};

/// A file with its mutants in it.
#[derive(Debug, Default)]
pub(crate) struct Woven {
    pub(crate) text: String,
    /// Where in `text` each mutant's own code is, by its number.
    pub(crate) mutants: Vec<(Range<usize>, u32)>,
    /// Where in `text` each expression is that has mutants, with their numbers.
    pub(crate) sites: Vec<(Range<usize>, Vec<u32>)>,
    /// Mutants that no compiler takes.
    pub(crate) unviable: BTreeSet<u32>,
    /// Mutants for which there is no place: what they would replace cannot hold an `if`.
    pub(crate) misfits: BTreeSet<u32>,
}

/// Weaves these mutants, by their numbers, into `source`. Functions named in `constant` stay as they are: other
/// `const fn`s lose their `const`, for a switch is read when the program runs.
pub(crate) fn weave(source: &str, mutants: &[(u32, &Mutant)], constant: &BTreeSet<String>) -> Result<Woven> {
    let mut at = BTreeMap::<_, Vec<_>>::new();
    for (number, mutant) in mutants {
        at.entry((mutant.genre, mutant.range.start)).or_default().push((*number, *mutant));
    }
    let mut weaver = Weaver { source, at, constant, edits: Vec::new(), order: 0, unviable: BTreeSet::new() };
    weaver.visit_file(&syn::parse_file(source)?);
    let misfits = weaver.at.values().flatten().map(|(number, _)| *number).collect();
    Ok(Woven { unviable: weaver.unviable, misfits, ..write(source, weaver.edits) })
}

/// What is written at one place.
enum Piece {
    Text(String),
    /// The code of a mutant.
    Mutant(u32, String),
    Open(Vec<u32>),
    Close,
}

/// Pieces to be written before the byte `at`, instead of the `removed` bytes there.
struct Edit {
    at: usize,
    /// Where several are at one place: what ends there goes first, and of that the innermost.
    order: i64,
    removed: usize,
    pieces: Vec<Piece>,
}

struct Weaver<'a> {
    source: &'a str,
    /// The mutants that have no place yet.
    at: BTreeMap<(Genre, usize), Vec<(u32, &'a Mutant)>>,
    constant: &'a BTreeSet<String>,
    edits: Vec<Edit>,
    order: i64,
    unviable: BTreeSet<u32>,
}

impl<'a> Weaver<'a> {
    fn take(&mut self, genre: Genre, at: usize) -> Vec<(u32, &'a Mutant)> {
        self.at.remove(&(genre, at)).unwrap_or_default()
    }

    /// Wraps an expression, so that the mutants of it can take its place.
    fn wrap(&mut self, range: &Range<usize>, mutants: &[(u32, &'a Mutant)]) {
        if mutants.is_empty() {
            return;
        }
        let numbers: Vec<_> = mutants.iter().map(|(number, _)| *number).collect();
        let opening = format!("(if !switch::is_any(&{numbers:?}) {{ ");
        let mut closing = vec![Piece::Text(" }".to_owned())];
        for (index, (number, mutant)) in mutants.iter().enumerate() {
            let is_last = index + 1 == mutants.len();
            let condition = if is_last { String::new() } else { format!("if switch::is_any(&[{number}]) ") };
            closing.push(Piece::Text(format!(" else {condition}{{ ")));
            closing.push(Piece::Mutant(*number, replaced(self.source, range, mutant)));
            closing.push(Piece::Text(" }".to_owned()));
        }
        closing.extend([Piece::Text(")".to_owned()), Piece::Close]);
        self.surround(range, vec![Piece::Open(numbers), Piece::Text(opening)], closing);
    }

    fn surround(&mut self, range: &Range<usize>, before: Vec<Piece>, behind: Vec<Piece>) {
        self.order += 1;
        self.edits.push(Edit { at: range.start, order: self.order, removed: 0, pieces: before });
        self.edits.push(Edit { at: range.end, order: -self.order, removed: 0, pieces: behind });
    }

    /// A function: the mutants of its whole body return before anything of it runs.
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let Some(first) = block.stmts.first() else { return };
        let start = first.span().byte_range().start;
        let body = block.span().byte_range();
        if let Some(constness) = &signature.constness
            && self.at.keys().any(|(_, at)| body.contains(at))
        {
            let range = constness.span().byte_range();
            self.edits.push(Edit { at: range.start, order: 0, removed: range.len(), pieces: Vec::new() });
        }
        for (number, mutant) in self.take(Genre::FnValue, start) {
            let pieces = vec![
                Piece::Open(vec![number]),
                Piece::Text(format!("if switch::is_any(&[{number}]) {{ ")),
                Piece::Mutant(number, format!("return {};", mutant.replacement)),
                Piece::Text(" } ".to_owned()),
                Piece::Close,
            ];
            self.order += 1;
            self.edits.push(Edit { at: start, order: self.order, removed: 0, pieces });
        }
    }

    /// Whether a function stays as it is; its mutants have no place then.
    fn is_constant(&self, signature: &syn::Signature) -> bool {
        signature.constness.is_some() && self.constant.contains(&signature.ident.to_string())
    }
}

impl<'ast> Visit<'ast> for Weaver<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !self.is_constant(&item.sig) {
            self.function(&item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !self.is_constant(&item.sig) {
            self.function(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr(&mut self, expr: &'ast syn::Expr) {
        let range = expr.span().byte_range();
        let named = (Genre::Named, range.start);
        if self.at.get(&named).is_some_and(|mutants| mutants.iter().all(|(_, mutant)| mutant.range == range))
        {
            let mutants = self.take(Genre::Named, range.start);
            self.wrap(&range, &mutants);
        }
        let mutants = match expr {
            syn::Expr::Binary(binary) => {
                self.take(Genre::BinaryOperator, binary.op.span().byte_range().start)
            }
            syn::Expr::Unary(unary) => self.take(Genre::UnaryOperator, unary.op.span().byte_range().start),
            syn::Expr::Struct(made) => {
                let starts = made.fields.iter().map(|field| field.span().byte_range().start);
                let starts: Vec<_> = starts.collect();
                starts.into_iter().flat_map(|start| self.take(Genre::StructField, start)).collect()
            }
            _ => Vec::new(),
        };
        if is_chain(expr) {
            self.unviable.extend(mutants.iter().map(|(number, _)| *number));
        } else {
            self.wrap(&range, &mutants);
        }
        visit::visit_expr(self, expr);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let deleted = self.take(Genre::MatchArm, arm.span().byte_range().start);
        let numbers: Vec<_> = deleted.iter().map(|(number, _)| *number).collect();
        if let Some(number) = numbers.first() {
            let is_there = format!("!switch::is_any(&[{number}])");
            let open = || Piece::Open(numbers.clone());
            let code = Piece::Mutant(*number, is_there);
            if let syn::Pat::Guard(guarded) = &arm.pat {
                let range = guarded.guard.span().byte_range();
                let before = vec![open(), code, Piece::Text(" && (".to_owned())];
                self.surround(&range, before, vec![Piece::Text(")".to_owned()), Piece::Close]);
            } else {
                let range = arm.pat.span().byte_range();
                let behind = vec![Piece::Text(" if ".to_owned()), code, Piece::Close];
                self.surround(&range, vec![open()], behind);
            }
        }
        visit::visit_arm(self, arm);
    }

    fn visit_pat_guard(&mut self, guarded: &'ast syn::PatGuard) {
        let range = guarded.guard.span().byte_range();
        let mutants = self.take(Genre::MatchArmGuard, range.start);
        self.wrap(&range, &mutants);
        visit::visit_pat_guard(self, guarded);
    }
}

/// Whether the expression is a chain with a `let` in it, which may stand in a condition only.
fn is_chain(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) if matches!(binary.op, syn::BinOp::And(_)) => {
            is_chain(&binary.left) || is_chain(&binary.right)
        }
        _ => false,
    }
}

/// The text of `range`, with what the mutant replaces in it replaced.
pub(crate) fn replaced(source: &str, range: &Range<usize>, mutant: &Mutant) -> String {
    let parts = [
        &source[range.start..mutant.range.start],
        " ",
        &mutant.replacement,
        " ",
        &source[mutant.range.end..range.end],
    ];
    parts.concat()
}

fn write(source: &str, mut edits: Vec<Edit>) -> Woven {
    edits.sort_by_key(|edit| (edit.at, edit.order));
    let mut woven = Woven::default();
    let mut open = Vec::new();
    let mut written = 0;
    for edit in edits {
        woven.text.push_str(&source[written..edit.at]);
        written = edit.at + edit.removed;
        for piece in edit.pieces {
            let from = woven.text.len();
            match piece {
                Piece::Text(text) => woven.text.push_str(&text),
                Piece::Mutant(number, text) => {
                    woven.text.push_str(&text);
                    woven.mutants.push((from..woven.text.len(), number));
                }
                Piece::Open(numbers) => open.push((from, numbers)),
                Piece::Close => {
                    let (opened, numbers) = open.pop().expect("each site is opened before it is closed");
                    woven.sites.push((opened..from, numbers));
                }
            }
        }
    }
    woven.text.push_str(&source[written..]);
    woven
}
