// Package backtest replays labelled events through detectors and measures what
// somebody who has to live with them would want to know: which attacks they
// find, how soon, at which severity, and how much they say about honest work.
//
// [Run] gives a [Report]. [Compare] sets two of them side by side, so that a
// change of a rule or of a threshold can be judged before it is made.
// [Report.Propose] turns it round: given how many false notifications a day are
// bearable, it says which thresholds to set.
package backtest
