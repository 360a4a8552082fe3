// Package baseline remembers what is normal for one key, usually a principal,
// in bounded memory, and answers how an event compares with it.
//
// A [Feature] is a declared, typed memory: the values seen so far
// ([FirstSeen]), how many different ones stand in a sliding window
// ([Distinct]), how often something happens against the past days ([Rate]),
// whether steps came in order ([Sequence]), when the key was last active
// ([LastSeen]), or a researcher's own ([Custom]). A [Layout] is a set of
// features; a [Profile] holds their cells for one key and turns into one small
// versioned record of bytes, which a [Store] keeps.
//
// # Event time
//
// Nothing here reads a clock. A key's clock is the latest event time folded
// for that key, so keys do not influence each other. Events may arrive up to
// [Lateness] out of order: cells are made so that any order within that bound
// leaves the same memory and, at the latest when the last of the events
// concerned has arrived, the same answers. For this a window's answer is the
// best window that contains the event, not only the one that ends with it, and
// what is learnt by the day counts only days that had ended [Lateness] before
// the event.
//
// The functions given to features see whatever the logs hold. They are called
// from many goroutines, must not modify or keep the event, and must not panic.
//
// # Testing
//
// Package baselinetest holds stores and features to their contracts.
package baseline
