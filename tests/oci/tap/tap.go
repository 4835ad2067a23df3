// Package tap writes the Test Anything Protocol, as far as the OCI validation programs use it: Debian does not
// package github.com/mndrix/tap-go, under whose import path tests/oci/run puts this file.
package tap

import (
	"fmt"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v2"
)

// T is the state of one program's tests.
type T struct {
	count  *int
	todo   bool
	Writer io.Writer
}

// New begins a program's tests.
func New() *T {
	return &T{count: new(int)}
}

func (t *T) printf(format string, args ...interface{}) {
	w := t.Writer
	if w == nil {
		w = os.Stdout
	}
	fmt.Fprintf(w, format, args...)
}

// Header writes the version, and the plan if the number of tests is known.
func (t *T) Header(count int) {
	t.printf("TAP version 13\n")
	if count > 0 {
		t.printf("1..%d\n", count)
	}
}

// Ok writes one test's verdict.
func (t *T) Ok(passed bool, description string) {
	*t.count++
	verdict := "ok"
	if !passed {
		verdict = "not ok"
	}
	if t.todo {
		description = "# TODO " + description
	}
	t.printf("%s %d - %s\n", verdict, *t.count, description)
}

// Todo writes verdicts that do not count yet.
func (t *T) Todo() *T {
	return &T{count: t.count, todo: true, Writer: t.Writer}
}

// Pass writes a passed test.
func (t *T) Pass(description string) {
	t.Ok(true, description)
}

// Fail writes a failed test.
func (t *T) Fail(description string) {
	t.Ok(false, description)
}

// Skip writes tests that were not run.
func (t *T) Skip(count int, description string) {
	for i := 0; i < count; i++ {
		*t.count++
		t.printf("ok %d # SKIP %s\n", *t.count, description)
	}
}

// Diagnostic writes a remark.
func (t *T) Diagnostic(message string) {
	for _, line := range strings.Split(strings.TrimRight(message, "\n"), "\n") {
		t.printf("# %s\n", line)
	}
}

// Diagnosticf writes a formatted remark.
func (t *T) Diagnosticf(format string, args ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, args...))
}

// YAML writes what is known about the last test.
func (t *T) YAML(message interface{}) error {
	text, err := yaml.Marshal(message)
	if err != nil {
		return err
	}
	body := strings.TrimRight(strings.Replace(string(text), "\n", "\n  ", -1), " \n")
	t.printf("  ---\n  %s\n  ...\n", body)
	return nil
}

// AutoPlan writes the plan after the tests.
func (t *T) AutoPlan() {
	t.printf("1..%d\n", *t.count)
}
