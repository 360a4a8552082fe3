// Package outputcheck holds what cloudtell writes to judges from outside: the
// golden files of detect/output to the schemas that their readers publish, and
// the HTML report to a real browser. It consists of tests, and is a module of its
// own because of what they need.
package outputcheck
