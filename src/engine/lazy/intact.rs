//! Whether an object still has the properties that it was made with, all of them and no others.
//!
//! V8's API has no cheap way to ask: each property would have to be read. But what an object is made of hangs on three
//! words of it, its map, its properties and its elements, and two objects of one template that nobody has changed agree
//! in all of them. So this looks at V8's memory, at what stands there in the version that is named below, and believes
//! what it sees of a template's objects only after it has seen each kind of change to them ([`Pristine::new`]).
//! Where anything is different, the answer is no, and the slower ways are taken.

use deno_core::v8;

/// The version whose objects look like this.
const VERSION: &str = "15.0.245.2";

/// A word with this bit is an address, plus the bit.
const POINTER: usize = 1;

/// Dictionaries with more words than this are not compared.
const MOST_WORDS: usize = 4096;

/// An object of a template that nobody but us has ever seen.
pub(super) struct Pristine(v8::Global<v8::Object>);

impl Pristine {
    /// The first object of a template, if changes of its objects are seen.
    pub(super) fn new(
        scope: &mut v8::PinScope<'_, '_>,
        template: v8::Local<v8::ObjectTemplate>,
        names: &[v8::Local<v8::Name>],
    ) -> Option<Self> {
        let object = template.new_instance(scope)?;
        let pristine = Self(v8::Global::new(scope, object));
        let sees = v8::V8::get_version().starts_with(VERSION) && pristine.sees_changes(scope, template, names)?;
        sees.then_some(pristine)
    }

    /// Whether `object`, one of the same template, has the same properties still.
    pub(super) fn same(&self, scope: &v8::PinScope<'_, '_>, object: v8::Local<v8::Object>) -> bool {
        let pristine = v8::Local::new(scope, &self.0);
        let ([map, properties, elements], theirs) = (words(pristine), words(object));
        map == theirs[0] && elements == theirs[2] && (properties == theirs[1] || same_words(properties, theirs[1]))
    }

    fn sees_changes(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        template: v8::Local<v8::ObjectTemplate>,
        names: &[v8::Local<v8::Name>],
    ) -> Option<bool> {
        let untouched = template.new_instance(scope)?;
        let null: v8::Local<v8::Value> = v8::null(scope).into();
        let added = template.new_instance(scope)?;
        let key = v8::String::new(scope, "a property that no event has")?;
        added.set(scope, key.into(), null)?;
        let element = template.new_instance(scope)?;
        element.set_index(scope, 0, null)?;
        let heir = template.new_instance(scope)?;
        heir.set_prototype(scope, null)?;
        let mut seen = self.same(scope, untouched) && ![added, element, heir].iter().any(|one| self.same(scope, *one));
        for name in names {
            let deleted = template.new_instance(scope)?;
            deleted.delete(scope, (*name).into())?;
            seen &= !self.same(scope, deleted);
            deleted.create_data_property(scope, *name, null)?;
            let defined = template.new_instance(scope)?;
            defined.define_own_property(scope, *name, null, v8::PropertyAttribute::DONT_ENUM)?;
            seen &= ![deleted, defined].iter().any(|one| self.same(scope, *one));
        }
        Some(seen)
    }
}

/// An object's first three words.
fn words(object: v8::Local<v8::Object>) -> [usize; 3] {
    // SAFETY: a handle is the address of a word with the object's address in it, plus the bit, and every object starts
    // with these three words. Nothing here lets the collector move it.
    unsafe {
        let tagged = *std::ptr::from_ref::<v8::Object>(&object).cast::<usize>();
        *((tagged - POINTER) as *const [usize; 3])
    }
}

/// Whether two dictionaries, tagged, have the same words. The first two are their map and, in the lower half, how many
/// follow.
fn same_words(ours: usize, theirs: usize) -> bool {
    if ours & theirs & POINTER == 0 {
        return false;
    }
    // SAFETY: both are addresses of objects, which are at least two words long; and those that agree in their map and
    // length are at least as long as they say: the one is a dictionary, and `sees_changes` has seen what it says.
    unsafe {
        let start = |tagged: usize| (tagged - POINTER) as *const usize;
        let header = |tagged| *start(tagged).cast::<[usize; 2]>();
        let length = header(ours)[1] & 0xFFFF_FFFF;
        header(ours) == header(theirs)
            && length <= MOST_WORDS
            && std::slice::from_raw_parts(start(ours).add(2), length)
                == std::slice::from_raw_parts(start(theirs).add(2), length)
    }
}
