package event_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/event"
)

func TestMemo(t *testing.T) {
	asked := 0
	region := event.Derive(func(e *event.Event) string { asked++; return e.Region })
	a, b := &event.Event{Region: "a", Request: `{"bucketName":"x","key":"k"}`}, &event.Event{Region: "b"}
	assert.Equal(t, []string{"a", "a"}, []string{region.Of(a), region.Of(a)})
	assert.Equal(t, 2, asked, "no memo")

	var m event.Memo
	held := m.Hold(a)
	assert.Equal(t, []string{"a", "a", "x", "k", "x"}, []string{region.Of(held), region.Of(held), held.Bucket(), held.ObjectKey(), held.Bucket()})
	assert.Equal(t, 3, asked)
	copied, clone := *held, held.Clone()
	held = m.Hold(b)
	assert.Equal(t, []string{"b", "b", "", ""}, []string{region.Of(held), region.Of(held), held.Bucket(), held.ObjectKey()})
	assert.Equal(t, 4, asked)
	assert.Equal(t, []string{"a", "a", "a", "x", "x"}, []string{region.Of(&copied), region.Of(clone), region.Of(a), copied.Bucket(), clone.Bucket()})
	assert.Equal(t, a, clone, "a clone remembers nothing")
	assert.Equal(t, a.Clone(), a, "nor is the event changed")

	m.Drop()
	held = m.Hold(a)
	assert.Equal(t, "a", region.Of(held))
	assert.Equal(t, 8, asked)
}
