//! The layer as it is published: what is in its zip, and that the binary in it works where Lambda will start it.
//!
//! `make layer-test` makes the layers and an emulator first, and then insists that nothing is skipped.

mod layer {
    mod archive;
    mod bare_root;
    mod bill;
    mod made;
    mod runs;
    mod story;
}
