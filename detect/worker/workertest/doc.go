// Package workertest holds queues to the contracts of [worker.Queue] and
// [worker.Source]: each numbered line is a case, and its sentence is what a
// failure says. It has a queue of its own, in memory, for tests of what is
// built on workers.
package workertest
