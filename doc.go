// Package cloudtell finds attackers in AWS logs. It is a library: it goes into
// a SIEM pipeline or a product, reads CloudTrail and S3 server access logs,
// learns what is normal for each principal over 30 days, and reports what five
// ATT&CK techniques look like against that: Valid Accounts (T1078), Data from
// Cloud Storage (T1530), Unsecured Credentials (T1552), Cloud Infrastructure
// Discovery (T1580) and Cloud Storage Object Discovery (T1619).
//
// This package holds no code. Five nouns, in four packages, are all there is:
//
//   - an Event (package event) is one log record, decoded and typed, that knows
//     who the principal is;
//   - a Feature (package baseline) is a declared, bounded memory about one key,
//     usually a principal: the values seen before, how many in a window, how
//     fast compared with other days;
//   - a Profile (package baseline) is all the features' memory of one key, one
//     small record of bytes in a store of your choice;
//   - a Detector (package detect) is a pure rule that reads an event and the
//     answers of its features;
//   - a Finding (package detect) says what was found, with the evidence for it
//     and what was expected.
//
// Package techniques holds the detectors. Below detect, package incident joins
// findings into stories, coverage says what the logs let the rules see, and
// backtest measures rules on labelled events. See the example for all of it
// together, and ARCHITECTURE.md for the map.
package cloudtell
