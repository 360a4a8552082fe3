// Package guides is the documents in this folder, and tests that hold them, and
// all other documents of the repository, to what they say: commands are run,
// what they are said to print is compared, code is looked for in the files that
// it is quoted from, and links must lead somewhere.
package guides
