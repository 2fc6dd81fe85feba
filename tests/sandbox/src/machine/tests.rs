//! The life of an environment, told as inputs and outputs.
