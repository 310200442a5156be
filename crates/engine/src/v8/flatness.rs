//! Detects flat values: those with so little nesting that they cannot contain a cycle.
//!
//! V8's fast JSON stringifier finds a cycle only after 200,000 objects, and may have written gigabytes of text by then.
//! So the driver checks how deeply a value is nested before it prints the value. In JavaScript, this check takes a few
//! percent of an event's time. The check in this module reads the objects' memory and takes a tenth of that. It knows
//! only plain objects and arrays. For all other values it returns `false`, and the driver does its own check, see
//! `js/runtime/json.js`.
//!
//! It does not see accessors, whose functions are not among an object's words. V8's fast stringifier declines objects that
//! have any. The result holds until code of the author runs, so a value is checked right before it alone is printed.

use std::sync::OnceLock;

use deno_core::v8;

use super::heap_words::{POINTER, is_layout_known, tagged, words};

/// Maximum nesting depth of a flat value. The same as in `js/runtime/json.js`.
const MAX_DEPTH: usize = 64;

/// Maximum number of words to check. A larger value counts as not flat, because nothing can interrupt the check.
const MAX_WORDS: usize = 10_000;

/// The index of an object's first own field, in words. The fields follow its map, its properties and its elements.
const FIELDS: usize = 3;

/// The mask of a property array's length in the upper half of its second word.
const PROPERTIES_LENGTH: usize = 0x3FF;

/// V8's type numbers of heap objects, read from sample objects.
struct Types {
    object: u16,
    array: u16,
    /// A property array: the properties that do not fit into the object's own fields.
    properties: u16,
    /// A hash table that stores an object's properties.
    dictionary: u16,
    elements: u16,
    /// Elements that are numbers, not references.
    doubles: u16,
    /// Values that do not refer to another printed value.
    leaves: Leaves,
}

/// A set of types, one bit each. All its members are small numbers.
#[derive(Default)]
struct Leaves([u64; 8]);

impl Leaves {
    fn add(&mut self, kind: u16) -> Option<()> {
        *self.0.get_mut(usize::from(kind / 64))? |= 1 << (kind % 64);
        Some(())
    }

    #[inline(always)]
    fn has(&self, kind: u16) -> bool {
        self.0.get(usize::from(kind / 64)).is_some_and(|bits| bits >> (kind % 64) & 1 == 1)
    }
}

/// All types below this number are string types.
const FIRST_NO_STRING: u16 = 0x80;

/// This bit marks a weak reference, which does not keep its object alive.
const WEAK: usize = 2;

static TYPES: OnceLock<Option<Types>> = OnceLock::new();

/// Reads the type numbers from samples and runs a self-test, once per process. Before that, no value counts as flat.
pub(crate) fn learn(scope: &mut v8::PinScope<'_, '_>) {
    if TYPES.get().is_none() {
        let types = Types::of_samples(scope).filter(|types| types.are_right(scope) == Some(true));
        let _ = TYPES.set(types);
    }
}

/// Whether a value is known to be flat. Runs no JavaScript and allocates nothing.
fn is_flat(value: v8::Local<v8::Value>) -> bool {
    TYPES.get().and_then(Option::as_ref).is_some_and(|types| types.is_flat(value))
}

/// Tells the driver whether a value is known to be flat. Then the driver prints the value without a check for cycles.
/// Only programs whose code never runs while a value is printed (`may_copy`) profit from this.
pub(crate) fn for_driver<'s>(
    scope: &v8::PinScope<'s, '_>,
    may_copy: bool,
    value: v8::Local<'s, v8::Value>,
) -> v8::Local<'s, v8::Value> {
    v8::Boolean::new(scope, may_copy && is_flat(value)).into()
}

impl Types {
    fn of_samples(scope: &mut v8::PinScope<'_, '_>) -> Option<Self> {
        if !is_layout_known() {
            return None;
        }
        let null: v8::Local<v8::Value> = v8::null(scope).into();
        let number: v8::Local<v8::Value> = v8::Number::new(scope, 0.5).into();
        let object = v8::Object::new(scope);
        let array = v8::Array::new_with_elements(scope, &[null]);
        let doubles = v8::Array::new(scope, 0);
        doubles.set_index(scope, 0, number)?;
        let [full, table] = [objects::full(scope, null)?, objects::with_table(scope, null)?];
        let bigint = v8::BigInt::new_from_u64(scope, u64::MAX);
        let symbol = v8::Symbol::new(scope, None);
        let holes = v8::Array::new(scope, 1);
        let mut leaves = Leaves::default();
        (0..FIRST_NO_STRING).try_for_each(|kind| leaves.add(kind))?;
        // SAFETY: handles keep all of these objects alive, and the objects keep alive what their words refer to. Nothing
        // in this block allocates in V8's heap, so the collector moves nothing.
        unsafe {
            for leaf in [
                tagged(null),
                tagged(number),
                tagged(bigint),
                tagged(symbol),
                // The fillers of fields and elements that have no value yet.
                words(object)[0],
                word(words(holes.into())[2], 2),
            ] {
                leaves.add(type_of(leaf))?;
            }
            Some(Self {
                object: type_of(tagged(object)),
                array: type_of(tagged(array)),
                properties: type_of(words(full)[1]),
                dictionary: type_of(words(table)[1]),
                elements: type_of(words(array.into())[2]),
                doubles: type_of(words(doubles.into())[2]),
                leaves,
            })
        }
    }

    fn is_flat(&self, value: v8::Local<v8::Value>) -> bool {
        let mut words_left = MAX_WORDS;
        // SAFETY: a handle refers to a live value, and nothing here lets the garbage collector move an object.
        unsafe { self.word_is_flat(tagged(value), 0, &mut words_left) }
    }

    /// # Safety
    /// `word` is a small integer, or the address of a live heap object plus [`POINTER`].
    #[inline(always)]
    unsafe fn word_is_flat(&self, word: usize, depth: usize, words_left: &mut usize) -> bool {
        if word & POINTER == 0 {
            return true;
        }
        if word & WEAK != 0 {
            return false;
        }
        // SAFETY: the pointer bit is set, so the caller guarantees the address of a live heap object.
        let kind = unsafe { type_of(word) };
        // SAFETY: the caller guarantees a live object, and this runs only for the types of plain objects and arrays.
        let object_is_flat = |words_left| unsafe { self.object_is_flat(word, depth, words_left) };
        self.leaves.has(kind)
            || ((kind == self.object || kind == self.array) && depth <= MAX_DEPTH && object_is_flat(words_left))
    }

    /// # Safety
    /// `object` is the address, plus [`POINTER`], of a live object whose type is that of plain objects or arrays.
    unsafe fn object_is_flat(&self, object: usize, depth: usize, words_left: &mut usize) -> bool {
        // SAFETY: an object of these types has as many words as its map says, and
        // each is a small integer or a reference. The same holds for the objects
        // that its second and third word refer to, after their own map and length.
        unsafe {
            let fields = Some((object, FIELDS, instance_size(word(object, 0))));
            for part in [fields, self.properties(word(object, 1)), self.elements(word(object, 2))] {
                let Some((start, first, end)) = part else { return false };
                let Some(left) = words_left.checked_sub(end.saturating_sub(first)) else { return false };
                *words_left = left;
                for at in first..end {
                    if !self.word_is_flat(word(start, at), depth + 1, words_left) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Finds the properties that are stored outside the object's own fields. Returns an address plus [`POINTER`], the
    /// index of the first word, and the end. `None` if their storage is of an unknown type.
    ///
    /// # Safety
    /// `properties` is the second word of a live object.
    unsafe fn properties(&self, properties: usize) -> Option<(usize, usize, usize)> {
        if properties & POINTER == 0 {
            return Some((0, 0, 0));
        }
        // SAFETY: this is the address of a live object, and each of these types has its length in the second word.
        let (kind, length) = unsafe { (type_of(properties), word(properties, 1)) };
        if kind == self.properties {
            return Some((properties, 2, 2 + (length >> 32 & PROPERTIES_LENGTH)));
        }
        // An object without such properties has an empty list of elements here.
        let known = kind == self.dictionary || kind == self.elements;
        known.then_some((properties, 2, 2 + (length & 0xFFFF_FFFF)))
    }

    /// Does the same for elements.
    ///
    /// # Safety
    /// `elements` is the third word of a live object.
    unsafe fn elements(&self, elements: usize) -> Option<(usize, usize, usize)> {
        // SAFETY: this is the address of a live object.
        match unsafe { type_of(elements) } {
            kind if kind == self.elements => {
                // SAFETY: an object of this type has its length in the second word.
                Some((elements, 2, 2 + (unsafe { word(elements, 1) } & 0xFFFF_FFFF)))
            }
            kind if kind == self.doubles => Some((0, 0, 0)),
            _ => None,
        }
    }

    /// Self-test: whether a nested value is found in every place where an object or array can store it. Runs at the start
    /// of each process, so it creates few objects.
    fn are_right(&self, scope: &mut v8::PinScope<'_, '_>) -> Option<bool> {
        let leaf: v8::Local<v8::Value> = v8::String::new(scope, "leaf")?.into();
        let mut right = self.is_flat(leaf);
        for flat in objects::around(scope, leaf)? {
            right &= self.is_flat(flat.into());
        }
        // As deep as a flat value can be, so that anything around it is too deep.
        let mut deepest = leaf;
        for _ in 0..=MAX_DEPTH {
            deepest = v8::Array::new_with_elements(scope, &[deepest]).into();
        }
        right &= self.is_flat(deepest);
        for deep in objects::around(scope, deepest)? {
            right &= !self.is_flat(deep.into());
        }
        Some(right)
    }
}

/// Returns the type number of a heap object.
///
/// # Safety
/// `object` is the address of a live heap object, plus [`POINTER`].
unsafe fn type_of(object: usize) -> u16 {
    const TYPE: usize = 12;
    // SAFETY: the first word of every heap object is the address of its map, plus the bit. A map is longer than `TYPE`
    // and its two bytes.
    unsafe { *((word(object, 0) - POINTER + TYPE) as *const u16) }
}

/// Returns the number of words of an object with this map.
///
/// # Safety
/// `map` is the address of a map, plus [`POINTER`].
unsafe fn instance_size(map: usize) -> usize {
    const SIZE: usize = 8;
    // SAFETY: a map is longer than `SIZE` and its byte.
    usize::from(unsafe { *((map - POINTER + SIZE) as *const u8) })
}

/// Returns one word of a heap object.
///
/// # Safety
/// `object` is the address, plus [`POINTER`], of a live heap object that has more than `at` words.
unsafe fn word(object: usize, at: usize) -> usize {
    // SAFETY: the caller guarantees a live object with more than `at` words.
    unsafe { *((object - POINTER) as *const usize).add(at) }
}

/// Sample objects.
mod objects {
    use super::v8;

    fn put<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        object: v8::Local<'s, v8::Object>,
        number: u32,
        value: v8::Local<'s, v8::Value>,
    ) -> Option<bool> {
        let key = v8::String::new(scope, &format!("p{number}"))?;
        object.create_data_property(scope, key.into(), value)
    }

    /// Creates an object with more properties than own fields. The last one has this value.
    pub(super) fn full<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        last: v8::Local<'s, v8::Value>,
    ) -> Option<v8::Local<'s, v8::Object>> {
        let object = v8::Object::new(scope);
        let null = v8::null(scope).into();
        for number in 0..10 {
            put(scope, object, number, if number < 9 { null } else { last })?;
        }
        Some(object)
    }

    /// Creates an object that stores its properties in a hash table. One of them has this value.
    pub(super) fn with_table<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
    ) -> Option<v8::Local<'s, v8::Object>> {
        let object = v8::Object::new(scope);
        let null = v8::null(scope).into();
        for number in 0..3 {
            put(scope, object, number, if number == 1 { value } else { null })?;
        }
        // Deleting any property but the last one makes V8 switch to a hash table.
        let key = v8::String::new(scope, "p0")?;
        object.delete(scope, key.into())?;
        Some(object)
    }

    /// Creates objects and arrays with `value` in each kind of
    /// storage: fields, a property array, a hash table, elements.
    pub(super) fn around<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
    ) -> Option<[v8::Local<'s, v8::Object>; 7]> {
        let null: v8::Local<v8::Value> = v8::null(scope).into();
        let field = v8::Object::new(scope);
        put(scope, field, 0, value)?;
        let full = full(scope, value)?;
        let table = with_table(scope, value)?;
        let element = v8::Object::new(scope);
        element.set_index(scope, 1, value)?;
        let list = v8::Array::new_with_elements(scope, &[null, value]);
        let holes = v8::Array::new(scope, 3);
        holes.set_index(scope, 2, value)?;
        let grown = v8::Array::new(scope, 0);
        let half = v8::Number::new(scope, 0.5).into();
        grown.set_index(scope, 0, half)?;
        grown.set_index(scope, 1, value)?;
        Some([field, full, table, element, list.into(), holes.into(), grown.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::platform;

    /// Runs `test` in an isolate where the types are known.
    fn with_scope(test: impl FnOnce(&mut v8::PinScope<'_, '_>)) {
        platform::initialize(platform::Protection::None);
        let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
        v8::scope!(let scope, isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        learn(scope);
        test(scope);
    }

    fn run<'s>(scope: &mut v8::PinScope<'s, '_>, code: &str) -> v8::Local<'s, v8::Value> {
        let code = v8::String::new(scope, code).unwrap();
        let script = v8::Script::compile(scope, code, None).unwrap();
        script.run(scope).unwrap()
    }

    #[test]
    fn plain_values_are_flat() {
        with_scope(|scope| {
            for code in [
                "1",
                "'text'",
                "null",
                "({})",
                "[]",
                "[, 1.5, true]",
                "JSON.parse('{\"a\":{\"b\":[1,1.5,null,\"x\",{\"c\":-0}]},\"0\":{}}')",
                "({ ...{ a: 1, b: { c: 'x'.repeat(1000) + 'y' } }, d: 10n ** 30n, e: undefined })",
                "const wide = {}; for (let i = 0; i < 300; i++) wide['p' + i] = { i }; delete wide.p7; wide",
                "class Point { constructor() { this.x = [1]; } } new Point()",
                "Object.freeze({ a: Object.freeze([1, {}]) })",
            ] {
                let value = run(scope, &format!("(() => {{ return eval({code:?}); }})()"));
                assert!(is_flat(value), "{code}");
            }
        });
    }

    #[test]
    fn cycles_and_what_is_unknown_are_not_flat() {
        with_scope(|scope| {
            for code in [
                "const a = {}; a.b = { a }; a",
                "const a = []; a.push(a); a",
                "const a = [0.5]; a.push({ a }); a",
                "const a = {}; a[0] = a; a",
                "const a = {}; a[1e6] = a; a",
                "const a = { x: 1, y: 2, z: 3 }; delete a.x; a.y = [[{ a }]]; a",
                "const a = {}; for (let i = 0; i < 40; i++) a['p' + i] = i; a.p39 = a; a",
                "class Link { constructor() { this.next = this; } } new Link()",
                "const a = Object.create(null); a.a = a; a",
                "const a = { get b() { return this; }, c: {} }; a.c.a = a; a",
                "const a = { m: new Map() }; a",
                "const a = { f() {} }; a",
                "const a = { d: new Date(0) }; a",
                "const a = { p: new Proxy({}, {}) }; a",
                "const a = { e: new Error('x') }; a",
                "let a = {}; for (let i = 0; i < 65; i++) a = { a }; a",
                "new Array(20_000).fill(1)",
                "let a = {}; for (let i = 0; i < 60; i++) a = { a, b: a }; a",
            ] {
                let value = run(scope, &format!("(() => {{ return eval({code:?}); }})()"));
                assert!(!is_flat(value), "{code}");
            }
        });
    }

    #[test]
    fn objects_of_a_template_are_not_flat() {
        with_scope(|scope| {
            let template = v8::ObjectTemplate::new(scope);
            template.set_internal_field_count(4);
            let object = template.new_instance(scope).unwrap();
            assert!(!is_flat(object.into()));
        });
    }
}
