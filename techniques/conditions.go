package techniques

import (
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// The conditions that rules share; see [detect.Condition]. Rules that look at
// every kind of event begin with one.
var (
	viaService = &detect.Condition{Text: "AWS made the call, for itself or for the principal", Guard: true,
		Is: (*event.Event).ViaService}
	serviceLinked = &detect.Condition{Text: "the principal is a service-linked role", Guard: true,
		Is: func(e *event.Event) bool { return e.Principal.Kind == event.ServiceRole }}
	question  = &detect.Condition{Text: "the call asks what there is", Is: discovery}
	longLived = &detect.Condition{Text: "a long-term access key was used", Is: longTermKey}
)
